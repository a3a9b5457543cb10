# docker build -t nla-slr .                                     with CUDA
# docker build -t nla-slr:cpu --build-arg BASE=ubuntu:24.04 .   for processors
# docker run --gpus all --user "$(id -u):$(id -g)" -v $PWD/data:/workspace/data -v $PWD/runs:/workspace/runs nla-slr \
#     python training.py --config configs/rgb_frame64.yaml
ARG BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04
FROM ${BASE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    python3 python3-venv make libgl1 libglib2.0-0t64 \
 && rm -rf /var/lib/apt/lists/*

ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
RUN python3 -m venv $VIRTUAL_ENV
WORKDIR /workspace
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e . \
 && useradd --create-home signs \
 && mkdir -p data runs weights \
 && chown signs data runs weights
USER signs
VOLUME ["/workspace/data", "/workspace/runs"]
CMD ["python", "doctor.py"]
