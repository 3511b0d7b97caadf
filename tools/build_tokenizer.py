"""Train the tiny byte-level BPE that ships with the IK-VLA family.

The text is generated from our own prompt, and from the world's own questions about random views, with random numbers. Two
choices keep prompts short and numbers compositional: every digit is a token of its own, and merges may cross blanks, so a fixed
label costs one or two tokens.

    python tools/build_tokenizer.py [--out src/eyesup/models/ik_vla/assets/tiny_tokenizer] [--vocab 1280]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from eyesup.models.ik_vla.prompt import CHATML_TOKENS, RESERVED, SPECIAL_TOKENS, PromptConfig, prompt_head
from eyesup.types import AgentKind, Camera, CameraRig, Command, EgoStatus, Maneuver, Observation, Trajectory
from eyesup.world.language.balance import OPTIONS, Candidate
from eyesup.world.language.questions import scene_questions
from eyesup.world.language.reasoning import PACES, Act, Reason, because, decision_questions, descriptions
from eyesup.world.language.sight import SeenSignal, Sight, Thing, sector_of
from eyesup.world.language.spatial import spatial_questions
from eyesup.world.language.words import COLOURS, NOUNS, SECTORS, SIGNS, listed

PAD = "<|endoftext|>"
MAX_TOKEN_CHARS = 24
OUT = Path(__file__).parents[1] / "src/eyesup/models/ik_vla/assets/tiny_tokenizer"

KINDS = tuple(AgentKind)
FRONT_M = 4.0
CLAUSES = (
    "nothing in view asks for it",
    "the road ahead is free",
    "the road turns left",
    "the road turns right",
    "its own lane is free again",
)
ABOUT = ("nothing in view", "the road ahead", "the traffic light")


def random_observation(rng: np.random.Generator) -> Observation:
    """An Observation whose ego state and history look like driving; its image is one pixel."""
    speed, yaw_rate, accel = float(rng.uniform(0, 16)), float(rng.normal(0, 0.1)), float(rng.normal(0, 1.5))
    times = -0.5 * np.arange(1, 5)
    headings = yaw_rate * times
    along = speed * times + 0.5 * accel * times**2
    history = np.stack([along, 0.5 * speed * yaw_rate * times**2, headings], axis=1)
    camera = Camera("front", np.diag([1.0, 1.0, 1.0]), np.eye(4), 1, 1)
    return Observation(
        key="text",
        images=np.zeros((1, 1, 1, 1, 3), np.uint8),
        image_times_s=np.zeros(1),
        rig=CameraRig((camera,)),
        ego=EgoStatus(
            (speed, float(rng.normal(0, 0.05))), (accel, speed * yaw_rate), yaw_rate, float(rng.normal(0, 0.1))
        ),
        history=Trajectory(history, -0.5),
        command=Command(list(Maneuver)[rng.integers(3)]),
    )


def random_thing(rng: np.random.Generator, number: int) -> Thing:
    """Something that the cameras might show, anywhere around."""
    kind = KINDS[rng.integers(len(KINDS))]
    x, y, turn, along = rng.uniform(-10, 60), rng.uniform(-20, 20), rng.uniform(-np.pi, np.pi), rng.uniform(0, 60)
    statuses = ("moving", "standing") if kind is AgentKind.PEDESTRIAN else ("moving", "stopped", "parked")
    lateral = float(rng.choice([0.0, rng.uniform(-20, 20)]))
    return Thing(
        id=number, kind=kind, noun=NOUNS[kind], x=float(x), y=float(y), heading=float(turn),
        size_m=(float(rng.uniform(3, 12)), 2.0, float(rng.uniform(1, 4))), speed_mps=float(rng.choice([0.0, 8.0])),
        towards_mps=float(rng.normal()), ahead_m=float(along), lateral_m=lateral, gap_m=float(np.hypot(x, y)),
        sector=sector_of(float(x), float(y)), pixels=100, brakes=bool(rng.integers(2)), hazards=bool(rng.integers(2)),
        beacon=bool(rng.integers(2)), status=str(rng.choice(statuses)), overhead=False,
    )  # fmt: skip


def random_sight(rng: np.random.Generator) -> Sight:
    """A view of up to eight things, a light and a sign."""
    things = [random_thing(rng, number) for number in range(int(rng.integers(9)))]
    seen = tuple(sorted(things, key=lambda thing: thing.gap_m))
    lead = seen[0] if seen and rng.random() < 0.6 else None
    light = SeenSignal(0, str(rng.choice(tuple(COLOURS.values()))), 20.0) if rng.random() < 0.5 else None
    sign = SeenSignal(1, str(rng.choice(tuple(SIGNS.values()))), 20.0) if rng.random() < 0.3 else None
    return Sight(0, seen, (), lead, True, light, sign, SECTORS)


def random_talk(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Some questions with answers, in the world's own words."""
    sight = random_sight(rng)
    things: tuple[Thing | SeenSignal, ...] = (
        *sight.things,
        *(signal for signal in (sight.light, sight.sign) if signal),
    )
    if things and rng.random() < 0.6:
        why = because(things[rng.integers(len(things))], sight)
    else:
        why = Reason(str(rng.choice(CLAUSES)), str(rng.choice(ABOUT)))
    sides = ("left", "right", None)
    does = Act(
        str(rng.choice(tuple(PACES))),
        turn=sides[rng.integers(3)],
        shift=sides[rng.integers(3)],
        back=bool(rng.integers(2)),
    )
    first_seen = {thing.id: 20 * thing.id for thing in sight.things}
    possible = [
        *scene_questions(sight), *spatial_questions(sight, FRONT_M, first_seen), *decision_questions(sight, does, why),
        Candidate(f"Where does my route lead within 30 metres{OPTIONS}?", "straight on", "route"),
    ]  # fmt: skip
    kinds = sorted({one.kind for one in possible})
    asked = []
    for kind in rng.choice(kinds, min(4, len(kinds)), replace=False):
        alike = [one for one in possible if one.kind == kind]
        one = alike[rng.integers(len(alike))]
        others = sorted({other.answer for other in alike} - {one.answer})[:2] or [str(rng.choice(tuple(PACES)))]
        asked.append((one.question.replace(OPTIONS, f": {listed([one.answer, *others], 'or')}"), one.answer))
    told = descriptions(sight, list(Maneuver)[rng.integers(3)], does, why)
    said = told[rng.integers(len(told))]
    return [*asked, (said.question, said.answer)]


def corpus(samples: int, seed: int) -> Iterator[str]:
    """Plain text between special tokens; merges must not cross them."""
    rng = np.random.default_rng([seed, 0])
    border = re.compile("|".join(re.escape(token) for token in RESERVED))
    configs = (PromptConfig(), PromptConfig(system="short"), PromptConfig(system="short", ego="none"))
    for index in range(samples):
        (question, answer), *more = random_talk(rng)
        head = prompt_head(random_observation(rng), configs[index % len(configs)], question)
        yield from (piece for piece in border.split(head) if piece)
        yield answer
        for question, answer in more:
            yield from (question, answer)


def build(vocab: int, samples: int, seed: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = [PAD, *CHATML_TOKENS, *SPECIAL_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_CHARS,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(samples, seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token="<|im_end|>", additional_special_tokens=specials[1:],
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write tokenizer.json and its configuration to")
    parser.add_argument("--vocab", type=int, default=1280, help="most tokens, special ones and the 256 bytes included")
    parser.add_argument("--samples", type=int, default=4000, help="generated prompts")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tokenizer = build(arguments.vocab, arguments.samples, arguments.seed)
    tokenizer.save_pretrained(str(arguments.out))
    head = prompt_head(random_observation(np.random.default_rng(1)), PromptConfig(system="short"))
    print(f"{len(tokenizer)} tokens -> {arguments.out}; a short prompt takes {len(tokenizer.encode(head))} tokens")


if __name__ == "__main__":
    main()
