"""A small git repository in the place of upstream's, with the files that profiles name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_LOGIN = """
open http://localhost:3000
STATUS=$(curl -s "http://localhost:3000/api/get-api-key-status?orgId=$ORG_ID")
"""

_SCRIPTS = {
    "hivemind": "#!/usr/bin/env bash\nset -e\n"
    + _LOGIN
    + "python -m hivemind_exp.gsm8k.train_single_gpu --identity_path $IDENTITY_PATH\nwait\n",
    "genrl": "#!/usr/bin/env bash\nset -e\n"
    + _LOGIN
    + "python -m rgym_exp.runner.swarm_launcher --config-name rg-swarm.yaml\nwait\n",
    "codezero": "#!/usr/bin/env bash\nset -e\n"
    + _LOGIN
    + "curl http://localhost:11434/api/tags\n"
    + "python -m code_gen_exp.runner.swarm_launcher --config-name code-gen-swarm.yaml\nwait\n",
}

HYDRA = """\
log_dir: ${oc.env:ROOT,.}/logs

training:
  # Rounds are counted by the swarm.
  max_round: 1000000
  max_stage: 1   # one stage a round
  num_generations: 4  # must be >1
  num_transplant_trees: 2
  seed: 42
  dtype: 'float32'

blockchain:
  org_id: ${oc.env:ORG_ID,null} # set by modal-login
  modal_proxy_url: "http://localhost:3000/api/"

game_manager:
  trainer:
    config:
      num_generations: ${training.num_generations}
  prg_game_config: {modal_proxy_url: "${blockchain.modal_proxy_url}"}
"""

_GRPO = """\
# Model arguments
model_name_or_path: unsloth/Qwen2.5-0.5B-Instruct
torch_dtype: float16
bf16: false

# Training arguments
max_steps: 20
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
gradient_checkpointing: false
max_prompt_length: 256
max_completion_length: 1024  # tokens
num_generations: 2
"""

_PACKAGE = """\
{
  "name": "ui-components-qs-nextjs",
  "scripts": {
    "dev": "next dev",
    "build": "next build",
    "start": "next start"
  }
}
"""

_FILES = {
    "hivemind": {
        "hivemind_exp/chain_utils.py": 'MODAL_PROXY_URL = "http://localhost:3000/api/"\n',
        "hivemind_exp/configs/mac/grpo-qwen-2.5-0.5b-deepseek-r1.yaml": _GRPO,
        "hivemind_exp/configs/gpu/grpo-qwen-2.5-0.5b-deepseek-r1.yaml": (
            _GRPO + 'host_maddr: "/ip4/0.0.0.0/tcp/38331"\n'
        ),
    },
    "genrl": {"rgym_exp/config/rg-swarm.yaml": HYDRA},
    "codezero": {"code_gen_exp/config/code-gen-swarm.yaml": HYDRA},
}

GENERATIONS = tuple(_FILES)
#: The file of each generation that names the address which the trainer submits to.
SUBMITS = {
    "hivemind": "hivemind_exp/chain_utils.py",
    "genrl": "rgym_exp/config/rg-swarm.yaml",
    "codezero": "code_gen_exp/config/code-gen-swarm.yaml",
}


def make_repository(path: Path, generation: str) -> Path:
    """Make a checkout of one commit, tagged v1.0, on the branch main; return its path."""
    files = {
        "run_rl_swarm.sh": _SCRIPTS[generation],
        "modal-login/package.json": _PACKAGE,
        ".gitignore": "*.pem\nlogs/\nmodal-login/temp-data/\n",
        **_FILES[generation],
    }
    for name, text in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (path / "run_rl_swarm.sh").chmod(0o755)
    run_git(path, "init", "--quiet", "--initial-branch=main")
    commit(path, "Begin")
    run_git(path, "tag", "v1.0")
    return path


def commit(path: Path, message: str) -> str:
    """Commit all that has changed; return the commit."""
    run_git(path, "add", "--all")
    run_git(path, "commit", "--quiet", "--message", message)
    return run_git(path, "rev-parse", "HEAD")


def run_git(path: Path, *arguments: str) -> str:
    """Run git as nobody in particular; return what it prints."""
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=path,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **who},
    )
    return done.stdout.strip()
