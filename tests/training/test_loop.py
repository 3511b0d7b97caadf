from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from eyesup.training.checkpoint import CheckpointError, latest_checkpoint
from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.training.loop import Interrupted, NonFiniteError, train
from eyesup.training.metrics_log import read_metrics
from eyesup.types import DataError

TOY = textwrap.dedent(
    """
    import numpy as np
    import torch
    from torch import nn
    from eyesup.training.config import GroupConfig, TrainConfig
    from eyesup.training.loop import Task


    class Net(nn.Module):
        def __init__(self, width=8):
            super().__init__()
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Linear(3, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.2))
            self.table = nn.Embedding(4, width)
            self.head = nn.Linear(width, 1)

        def forward(self, batch):
            return self.head(self.body(batch["x"]) + self.table(batch["kind"]))[:, 0]


    def loss(outputs, batch):
        error = (outputs - batch["y"]) ** 2
        return {"total": error.mean(), "mse": error.mean()}


    def collate(items, rngs):
        noise = np.stack([rng.standard_normal(3) for rng in rngs])
        x = np.stack(items)
        return {
            "x": torch.tensor(x + 0.1 * noise, dtype=torch.float32),
            "kind": torch.tensor((x[:, 0] > 0).astype(int)),
            "y": torch.tensor(x.sum(1), dtype=torch.float32),
        }


    SOURCE = np.random.default_rng(0).standard_normal((23, 3))
    CONFIG = TrainConfig(
        steps=20, batch_size=4, groups=(GroupConfig("all", ("",), 1e-2),), log_every=4, checkpoint_every=5,
        checkpoint_minutes=0.0, tensorboard=False, device="cpu",
    )


    def task(**parts):
        return Task(**{"model": Net(), "objective": loss, "source": SOURCE, "collate": collate, **parts})
    """
)
toy: dict = {}
exec(TOY, toy)
CONFIG: TrainConfig = toy["CONFIG"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def run(folder: Path, config: TrainConfig = CONFIG, resume: bool = False, **parts):
    return train(toy["task"](**parts), config, folder, resume=resume, quiet=True)


def assert_same(a: Path, b: Path) -> None:
    left, right = weights(a), weights(b)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def interrupt_at(step: int):
    """A collate that presses Ctrl-C while the batch of a step is made."""
    calls = iter(range(10_000))

    def collate(items, rngs):
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return toy["collate"](items, rngs)

    return collate


def test_loss_falls_and_the_folder_is_complete(tmp_path):
    config = replace(CONFIG, steps=150, checkpoint_every=50, log_every=10, ema_decay=0.9)
    result = run(tmp_path, config, validate=lambda model, step: {"training": float(model.training)})
    lines = read_metrics(tmp_path)
    losses = [line["loss/total"] for line in lines if "loss/total" in line]
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3])
    assert result.final == tmp_path / "final" and result.step == 150
    assert lines[-1]["step"] == 150 and lines[-1]["val/training"] == 0.0
    assert {"lr/all", "grad_norm", "samples_per_s", "data_wait", "memory_mb"} <= lines[0].keys()
    assert latest_checkpoint(tmp_path / "checkpoints").name == "step-000150"
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("step-*")) == ["step-000100", "step-000150"]


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("micro", [None, 2])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, ema_decay, micro):
    config = replace(CONFIG, ema_decay=ema_decay, micro_batch_size=micro)
    whole = run(tmp_path / "whole", config)
    with pytest.raises(Interrupted, match=r"stopped after step 8; saved .*step-000008.*Continue with"):
        run(tmp_path / "cut", config, collate=interrupt_at(6 * (2 if micro else 1)))
    resumed = run(tmp_path / "cut", config, resume=True)
    assert_same(whole.final, resumed.final)
    assert_same(whole.final.parent / "checkpoints/step-000020", resumed.final.parent / "checkpoints/step-000020")

    def losses(folder):
        return [(line["step"], line["loss/total"], line["grad_norm"]) for line in read_metrics(folder)]

    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


def test_killed_process_resumes_to_the_same_weights(tmp_path):
    script = tmp_path / "toy_run.py"
    script.write_text(
        TOY
        + textwrap.dedent(
            f"""
            import time
            from pathlib import Path
            from eyesup.training.loop import train

            def slow(items, rngs):
                time.sleep(0.05)
                return collate(items, rngs)

            train(task(collate=slow), CONFIG, Path({str(tmp_path / "cut")!r}), quiet=True)
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while latest_checkpoint(tmp_path / "cut/checkpoints") is None and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut/final").exists()
    resumed = run(tmp_path / "cut", resume=True)
    assert_same(run(tmp_path / "whole").final, resumed.final)


def test_two_processes_learn_what_one_does(tmp_path):
    """Started as `accelerate launch` starts them: rank and world size in the environment."""
    script = tmp_path / "toy_run.py"
    script.write_text(
        TOY.replace("nn.Dropout(0.2)", "nn.Identity()").replace(
            "self.head =",
            "self.mask_token, self.head = nn.Parameter(torch.zeros(width)),",  # a weight that no batch uses
        )
        + textwrap.dedent(
            f"""
            import sys
            from pathlib import Path
            from dataclasses import replace
            from accelerate import PartialState
            from eyesup.training.loop import main_process_first, train

            CONFIG = replace(CONFIG, micro_batch_size=2, checkpoint_every=0, device="auto")
            folder = Path({str(tmp_path)!r}) / sys.argv[1]
            with main_process_first(CONFIG):
                pass
            train(task(validate=lambda model, step: {{}}), CONFIG, folder, quiet=True)
            assert PartialState().num_processes == int(sys.argv[2])
            """
        )
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def start(folder: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(script), folder, variables.get("WORLD_SIZE", "1")],
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        )

    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [start("two", RANK=str(r), LOCAL_RANK=str(r), **group) for r in range(2)]
    assert [process.wait(120) for process in (*ranks, start("one"))] == [0, 0, 0]
    left, right = weights(tmp_path / "one/final"), weights(tmp_path / "two/final")
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-4, atol=1e-5)


def test_micro_batches_see_the_same_samples_and_noise(tmp_path):
    class Plain(nn.Module):  # without dropout, whose mask depends on the micro-batch
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.linear = nn.Linear(3, 1)

        def forward(self, batch):
            return self.linear(batch["x"])[:, 0]

    whole = run(tmp_path / "a", model=Plain())
    split = run(tmp_path / "b", replace(CONFIG, micro_batch_size=1), model=Plain())
    for name, value in weights(whole.final).items():
        torch.testing.assert_close(value, weights(split.final)[name], rtol=1e-4, atol=1e-6)


def test_loader_workers_change_nothing(tmp_path):
    config = replace(CONFIG, steps=6, checkpoint_every=0)
    assert_same(run(tmp_path / "a", config).final, run(tmp_path / "b", replace(config, workers=1)).final)


def test_global_randomness_of_the_caller_is_left_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    task = toy["task"](model=nn.Sequential(Pick(), nn.Linear(3, 1), nn.Flatten(0)))
    torch.manual_seed(7)
    train(task, replace(CONFIG, steps=2), tmp_path, quiet=True)
    assert torch.equal(torch.rand(1), expected)


class Pick(nn.Module):
    def forward(self, batch):
        return batch["x"]


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_non_finite_stops_with_step_losses_and_keys(tmp_path, bad):
    def loss(outputs, batch):
        total = toy["loss"](outputs, batch)["total"]
        if len(read_steps) == 7:
            # the square root of zero has an infinite slope: a finite loss with a NaN gradient
            total = total * float("nan") if bad == "loss" else total + torch.sqrt((outputs * 0).sum())
        read_steps.append(0)
        return {"total": total}

    read_steps: list[int] = []
    with pytest.raises(NonFiniteError, match=r"step 8: .*batch keys \['kind', 'x', 'y'\].*step-000005 is intact"):
        run(tmp_path, objective=loss)
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "checkpoints/step-000005").values())


def test_failed_write_keeps_the_previous_checkpoint(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = toy["Net"](width=4096)

        def forward(self, batch):
            return self.net(batch)

    def full_after_step_5(items, rngs):
        calls.append(0)
        if len(calls) == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        return toy["collate"](items, rngs)

    calls: list[int] = []
    before = tmp_path / "checkpoints/step-000005"
    try:
        with pytest.raises(CheckpointError, match=r"step-000010 could not be written.*step-000005 is intact"):
            run(tmp_path, model=Wide(), collate=full_after_step_5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert latest_checkpoint(tmp_path / "checkpoints") == before
    assert [p.name for p in (tmp_path / "checkpoints").iterdir() if p.is_dir()] == ["step-000005"]
    resumed = run(tmp_path, resume=True, model=Wide())
    assert_same(run(tmp_path / "whole", model=Wide()).final, resumed.final)


def test_a_used_folder_needs_resume_and_the_same_schedule(tmp_path):
    run(tmp_path)
    with pytest.raises(DataError, match=r"already holds a run .*--resume"):
        run(tmp_path)
    with pytest.raises(DataError, match="steps was 20, is 40"):
        run(tmp_path, replace(CONFIG, steps=40), resume=True)
    with pytest.raises(DataError, match="EMA"):
        run(tmp_path, replace(CONFIG, ema_decay=0.9), resume=True)
    assert run(tmp_path, resume=True).step == 20


def test_validation_and_export_see_the_averaged_weights(tmp_path):
    seen = {}

    def validate(model, step):
        seen["val"] = model.head.weight.clone()
        return {}

    def export(model, folder):
        (folder / "config.json").write_text(json.dumps({"width": 8}))
        seen["export"] = model.head.weight.detach().clone()

    result = run(tmp_path, replace(CONFIG, ema_decay=0.5), validate=validate, export=export)
    stored = weights(result.final)["head.weight"]
    raw = load_file(tmp_path / "checkpoints/step-000020/trainer/weights.safetensors")["head.weight"]
    assert torch.equal(seen["val"], stored) and torch.equal(seen["export"], stored)
    assert not torch.equal(raw, stored)
    assert (result.final / "config.json").exists() and (tmp_path / "checkpoints/step-000020/config.json").exists()


def test_bf16_trains_and_keeps_float32_weights(tmp_path):
    result = run(tmp_path, replace(CONFIG, steps=30, precision="bf16"))
    assert all(value.dtype == torch.float32 for value in weights(result.final).values())
    again = run(tmp_path / "fp32", replace(CONFIG, steps=30))  # another precision in the same process
    assert not torch.equal(weights(result.final)["head.weight"], weights(again.final)["head.weight"])


def test_tied_and_frozen_parameters_survive(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight
            self.frozen = nn.Linear(3, 3).requires_grad_(False)

        def forward(self, batch):
            return self.second(self.frozen(self.first(batch["x"]))).sum(1)

    with pytest.raises(Interrupted):
        run(tmp_path / "cut", model=Tied(), collate=interrupt_at(6))
    resumed = run(tmp_path / "cut", model=Tied(), resume=True)
    assert_same(run(tmp_path / "whole", model=Tied()).final, resumed.final)
    assert torch.equal(weights(resumed.final)["frozen.weight"], Tied().frozen.weight)


def test_empty_source_is_refused(tmp_path):
    with pytest.raises(DataError, match="source is empty"):
        run(tmp_path, source=np.zeros((0, 3)))


def test_batch_must_divide_into_micro_batches():
    with pytest.raises(DataError, match="batch size 10 is no multiple of 4"):
        TrainConfig(steps=1, batch_size=10, micro_batch_size=4, groups=(GroupConfig("a", ("",), 1.0),)).micro_batches()
