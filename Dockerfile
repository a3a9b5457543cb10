# docker build -t nla-slr . && docker run --gpus all -v $PWD/data:/workspace/data -v $PWD/runs:/workspace/runs nla-slr \
#     python training.py --config configs/rgb_frame64.yaml
FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv make libgl1 libglib2.0-0t64 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /workspace
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN python3 -m venv $VIRTUAL_ENV
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
CMD ["python", "training.py", "--help"]
