"""Token embeddings to hidden states and text."""
