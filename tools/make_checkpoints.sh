#!/usr/bin/env bash
# The recipe of the shipped checkpoints (src/eyesup/models/shipped/) with every seed; docs/results.md says at which commit it ran.
# Interrupted, it goes on where it stopped: generation and training are both resumable.
#
#   tools/make_checkpoints.sh [FOLDER]     default FOLDER: runs/shipped
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:-runs/shipped}"
run=.venv/bin/eyesup
export OMP_WAIT_POLICY=ACTIVE

train() { # recipe, folder, options
  local recipe=$1 folder=$2
  shift 2
  if [ -d "$folder/final" ]; then return; fi
  if [ -d "$folder/checkpoints" ]; then $run train "$recipe" --out "$folder" --resume; else
    $run train "$recipe" --out "$folder" "$@"
  fi
}

$run world generate --out "$out/train" --split train --logs 1000 --twins --twins-per-log 1 --obstacles-per-log 1 --workers 2 --keep-going
$run world generate --out "$out/val" --split val --logs 23 --workers 2 --keep-going

train encoder_tiny "$out/encoder" --data "$out/train" --val "$out/val"
train ik_vla_tiny "$out/ik_vla_tiny" --data "$out/train" --val "$out/val" --encoder "$out/encoder/final" --features "$out/features"
train ego_mlp "$out/ego_mlp_tiny" --data "$out/train" --val "$out/val"

for name in ik_vla_tiny ego_mlp_tiny; do
  mkdir -p "src/eyesup/models/shipped/$name"
  cp -r "$out/$name/final/." "src/eyesup/models/shipped/$name/"
done
