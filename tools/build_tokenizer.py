"""Train the tiny byte-level BPE that ships with the IK-VLA family.

The text is generated from our own prompt and question templates with random numbers. Two choices keep prompts short and numbers
compositional: every digit is a token of its own, and merges may cross blanks, so a fixed label costs one or two tokens.

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
from eyesup.types import Camera, CameraRig, Command, EgoStatus, Maneuver, Observation, Trajectory

PAD = "<|endoftext|>"
MAX_TOKEN_CHARS = 24
OUT = Path(__file__).parents[1] / "src/eyesup/models/ik_vla/assets/tiny_tokenizer"

VEHICLES = ("car", "van", "truck", "bus", "motorcycle", "cyclist", "emergency vehicle")
GROUPS = ("vehicle", "pedestrian", "cyclist", "obstacle")
THINGS = (
    *VEHICLES,
    "pedestrian",
    "traffic cone",
    "barrier",
    "traffic light",
    "parked car",
    "crosswalk",
    "junction",
    "lane",
)
PLACES = (
    "ahead", "in view", "ahead in the ego lane", "ahead in my lane", "to the left", "to the right", "on the road",
    "on the sidewalk", "at the junction", "on the crosswalk",
)  # fmt: skip
STATES = (
    "red", "amber", "green", "braking", "stopped", "parked", "moving", "crossing", "turning left", "turning right", "cutting in",
    "walking", "accelerating", "keeping its speed",
)  # fmt: skip
ACTIONS = (
    "stop",
    "slow down",
    "keep speed",
    "speed up",
    "yield",
    "turn left",
    "turn right",
    "go straight",
    "follow the lane",
)


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


def article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def random_caption(rng: np.random.Generator) -> str:
    """One sentence on the vehicle ahead, the light and who else is there, as the world writes it."""
    lamps = " with its brake lights on" if rng.random() < 0.3 else ""
    lead = f"{article(str(rng.choice(VEHICLES)))} is about {int(rng.integers(3, 60))} m ahead in the ego lane{lamps}"
    parts = [lead if rng.random() < 0.6 else "no vehicle is seen ahead in the ego lane"]
    if rng.random() < 0.5:
        parts.append(f"the traffic light ahead is {rng.choice(('red', 'amber', 'green'))}")
    if rng.random() < 0.5:
        count, noun = int(rng.integers(1, 6)), rng.choice(GROUPS[1:])
        parts.append(f"{count} {noun}{'s' if count > 1 else ''} in view")
    sentence = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return sentence[0].upper() + sentence[1:] + "."


def random_talk(rng: np.random.Generator) -> tuple[str, str]:
    """One question and one answer about a scene: the world's own, and some general ones."""
    thing, group = str(rng.choice(THINGS)), str(rng.choice(GROUPS))
    place, state, action = rng.choice(PLACES), rng.choice(STATES), rng.choice(ACTIONS)
    yes, number = str(rng.choice(("yes", "no"))), str(int(rng.integers(0, 15)))
    talks = (
        ("Describe the scene.", random_caption(rng)),
        ("Is there a vehicle or a cyclist ahead in my lane?", yes),
        (f"Is there {article(group)} in view?", yes),
        (f"How many {group}s are visible?", number),
        ("What colour is the traffic light ahead?", str(state)),
        ("Are the brake lights of the vehicle ahead on?", yes),
        (f"Is there {article(thing)} {place}?", f"{yes.capitalize()}."),
        (f"What is the {thing} {place} doing?", f"The {thing} {place} is {state}."),
        ("What should the ego do?", f"The ego should {action} because the {thing} {place} is {state}."),
        (f"How far is the {thing} {place}?", f"{number} m"),
    )
    return talks[rng.integers(len(talks))]


def corpus(samples: int, seed: int) -> Iterator[str]:
    """Plain text between special tokens; merges must not cross them."""
    rng = np.random.default_rng([seed, 0])
    border = re.compile("|".join(re.escape(token) for token in RESERVED))
    configs = (PromptConfig(), PromptConfig(system="short"), PromptConfig(system="short", ego="none"))
    for index in range(samples):
        question, answer = random_talk(rng)
        head = prompt_head(random_observation(rng), configs[index % len(configs)], question)
        yield from (piece for piece in border.split(head) if piece)
        yield answer


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
