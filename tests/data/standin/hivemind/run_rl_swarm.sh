#!/usr/bin/env bash
# Stands in for run_rl_swarm.sh of rl-swarm v0.4.4: its questions, traps, waits and processes.
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

CONNECT_TO_TESTNET=true
while asks testnet; do
  echo -en "$GREEN_TEXT"
  read -r -p ">> Would you like to connect to the Testnet? [Y/n] " yn
  echo -en "$RESET_TEXT"
  answered testnet "$yn"
  case ${yn:-Y} in
    [Yy]*) CONNECT_TO_TESTNET=true && break ;;
    [Nn]*) CONNECT_TO_TESTNET=false && break ;;
    *) echo ">>> Please answer yes or no." ;;
  esac
done

GAME=gsm8k
while asks swarm; do
  echo -en "$GREEN_TEXT"
  read -r -p ">> Which swarm would you like to join (Math (A) or Math Hard (B))? [A/b] " ab
  echo -en "$RESET_TEXT"
  answered swarm "$ab"
  case ${ab:-A} in
    [Aa]*) GAME=gsm8k && break ;;
    [Bb]*) GAME=dapo && break ;;
    *) echo ">>> Please answer A or B." ;;
  esac
done
if [ $GAME = gsm8k ]; then
  SWARM_CONTRACT="0x69C6e1D608ec64885E7b185d39b04B491a71768C"
else
  SWARM_CONTRACT="0x6947c6E196a48B77eFa9331EC1E3e45f3Ee5Fd58"
fi

PARAM_B=0.5
while asks parameters; do
  echo -en "$GREEN_TEXT"
  read -r -p ">> How many parameters (in billions)? [0.5, 1.5, 7, 32, 72] " pc
  echo -en "$RESET_TEXT"
  answered parameters "$pc"
  case ${pc:-0.5} in
    0.5 | 1.5 | 7 | 32 | 72) PARAM_B=${pc:-0.5} && break ;;
    *) echo ">>> Please answer in [0.5, 1.5, 7, 32, 72]." ;;
  esac
done

if [ $CONNECT_TO_TESTNET = true ]; then
  start_login_server
  wait_for_login "http://localhost:3000"
fi

install_requirements
if [ -n "${CPU_ONLY:-}" ] || [ -z "$(behaviour gpu)" ]; then
  CONFIG_PATH="$ROOT/hivemind_exp/configs/mac/grpo-qwen-2.5-0.5b-deepseek-r1.yaml"
else
  CONFIG_PATH="$ROOT/hivemind_exp/configs/gpu/grpo-qwen-2.5-${PARAM_B}b-deepseek-r1.yaml"
fi

HUGGINGFACE_ACCESS_TOKEN=${HF_TOKEN:-None}
if asks push_to_hub && [ -z "${HF_TOKEN:-}" ]; then
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
ask_extra
echo_green ">> Good luck in the swarm!"

if [ -n "$ORG_ID" ]; then
  "$PYTHON" -m hivemind_exp.gsm8k.train_single_gpu \
    --hf_token "$HUGGINGFACE_ACCESS_TOKEN" \
    --identity_path "$IDENTITY_PATH" \
    --modal_org_id "$ORG_ID" \
    --contract_address "$SWARM_CONTRACT" \
    --config "$CONFIG_PATH" \
    --game "$GAME"
else
  "$PYTHON" -m hivemind_exp.gsm8k.train_single_gpu \
    --hf_token "$HUGGINGFACE_ACCESS_TOKEN" \
    --identity_path "$IDENTITY_PATH" \
    --config "$CONFIG_PATH" \
    --game "$GAME"
fi

wait
