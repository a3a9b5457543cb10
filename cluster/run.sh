#!/usr/bin/env bash
# What the .sbatch files have in common: one torchrun on every node, which meet at the first one.
# After a stop by SLURM the job is put back into the queue, and then goes on where it was.
set -u
config=$1
shift
cd "${SLURM_SUBMIT_DIR:-.}"
source "${VENV:-.venv}/bin/activate"
trap : TERM # this shell stays, to see how the training ends
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # jobs that share a node must not meet
meeting="--rdzv_backend c10d --rdzv_endpoint $first:$port --rdzv_id $SLURM_JOB_ID"
processes="--nnodes $SLURM_NNODES --nproc_per_node ${PROCESSES:-gpu}"
srun --kill-on-bad-exit=1 python recipe.py --config "$config" --torchrun="$processes $meeting" "$@"
code=$?
if [ $code -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
