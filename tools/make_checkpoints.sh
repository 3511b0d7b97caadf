#!/usr/bin/env bash
# The recipe of the shipped checkpoints (src/eyesup/models/shipped/) with every seed; see docs/results.md for what differed when they were made.
# Interrupted, it goes on where it stopped: generation and training are both resumable.
#
#   tools/make_checkpoints.sh [FOLDER]     default FOLDER: runs/shipped
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:-runs/shipped}"
run=.venv/bin/eyesup
export OMP_WAIT_POLICY=PASSIVE

train() { # recipe, folder, options
  local recipe=$1 folder=$2
  shift 2
  if [ -d "$folder/final" ]; then return; fi
  if [ -d "$folder/checkpoints" ]; then $run train "$recipe" --out "$folder" --resume; else
    $run train "$recipe" --out "$folder" "$@"
  fi
}

encoder_mix=(--scenarios red_light 2 lead_brakes 1 stopped_car 1 free_drive 1 curve 0.5)
$run world generate --out "$out/encoder_train" --split train --logs 110 --seed 7 --workers 2 "${encoder_mix[@]}"
$run world generate --out "$out/encoder_val" --split val --logs 8 --seed 7 --workers 2
$run world generate --out "$out/train" --split train --logs 300 --workers 2

train encoder_tiny "$out/encoder" --data "$out/encoder_train" --val "$out/encoder_val" --steps 2600
vla=(--data "$out/train" --encoder "$out/encoder/final" --features "$out/features")
train ik_vla_tiny "$out/ik_vla_first" "${vla[@]}" --steps 2600
train ik_vla_tiny_refine "$out/ik_vla_tiny" "${vla[@]}" --init "$out/ik_vla_first/final" --steps 1200
train ego_mlp "$out/ego_mlp_tiny" --data "$out/train"

for name in ik_vla_tiny ego_mlp_tiny; do
  mkdir -p "src/eyesup/models/shipped/$name"
  cp -r "$out/$name/final/." "src/eyesup/models/shipped/$name/"
done
