#!/usr/bin/env bash
# Stands in for run_rl_swarm.sh of rl-swarm v0.7.0: its questions, traps, waits and processes.
set -euo pipefail

ROOT=$PWD
. "$ROOT/standin/steps.sh"
if [ -n "$(behaviour exit_at_once)" ]; then
  exit 0
fi

export IDENTITY_PATH ORG_ID SWARM_CONTRACT
export HF_HUB_DOWNLOAD_TIMEOUT=120
IDENTITY_PATH=${IDENTITY_PATH:-"$ROOT/swarm.pem"}
ORG_ID=${ORG_ID:-""}
SWARM_CONTRACT="0x7745a8FE4b8D2D2c3BB103F8dCae822746F35Da0"
export CONNECT_TO_TESTNET=true HUGGINGFACE_ACCESS_TOKEN=None

cleanup() {
  echo_green ">> Shutting down trainer..."
  rm -r "$ROOT"/modal-login/temp-data/*.json 2>/dev/null || true
  # Where the script leads no process group this fails, and the exit status is 0 all the same.
  kill -- -$$ || true
  exit 0
}
errnotify() {
  echo_red ">> An error was detected while running rl-swarm. See $ROOT/logs for full logs."
}
trap cleanup EXIT
trap errnotify ERR

mkdir -p "$ROOT/logs"

start_login_server
wait_for_login "http://localhost:3000"
install_requirements
mkdir -p "$ROOT/configs"
cp "$ROOT/code_gen_exp/config/code-gen-swarm.yaml" "$ROOT/configs/code-gen-swarm.yaml"

if asks push_to_hub; then
  echo -en "$GREEN_TEXT"
  read -r -p ">> Would you like to push models you train in the RL swarm to the Hugging Face Hub? [y/N] " yn
  echo -en "$RESET_TEXT"
  answered push_to_hub "$yn"
  case ${yn:-N} in
    [Yy]*)
      read -r -p "Enter your Hugging Face access token: " HUGGINGFACE_ACCESS_TOKEN
      answered hub_token "$HUGGINGFACE_ACCESS_TOKEN"
      ;;
    [Nn]*) ;;
    *) echo ">>> No answer was given, so NO models will be pushed to Hugging Face Hub" ;;
  esac
fi

if asks model; then
  echo -en "$GREEN_TEXT"
  read -r -p ">> Enter the name of the model you want to use in huggingface repo/name format, or press [Enter] to use the default model. " MODEL_NAME
  echo -en "$RESET_TEXT"
  answered model "$MODEL_NAME"
  # A name from the environment stays exported here, but empty after the Enter key.
  if [ -n "$MODEL_NAME" ]; then
    export MODEL_NAME
    echo_green ">> Using model: $MODEL_NAME"
  else
    echo_green ">> Using default model from config"
  fi
fi
ask_extra
echo_green ">> Good luck in the swarm!"

"$PYTHON" -m code_gen_exp.runner.swarm_launcher \
  --config-path "$ROOT/code_gen_exp/config" \
  --config-name "code-gen-swarm.yaml"

wait
