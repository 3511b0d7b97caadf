"""EyesUp: driving vision-language-action models that look at the road, and the tools that tell whether they do."""

__version__ = "0.1.0"
