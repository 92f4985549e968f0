# What the scripts of all generations do alike. Sourced by run_rl_swarm.sh with ROOT set.
PYTHON=@PYTHON@
export STANDIN_FOLDER="$ROOT"

GREEN_TEXT="\033[32m"
RESET_TEXT="\033[0m"
echo_green() { echo -e "$GREEN_TEXT$1$RESET_TEXT"; }
echo_red() { echo -e "\033[31m$1$RESET_TEXT"; }

# The value of a behaviour; empty where it is off.
behaviour() { "$PYTHON" -I -S "$ROOT/standin/behaviour.py" "$1"; }

# Whether this stand-in asks the question of that name.
asks() { case " $(<"$ROOT/standin/prompts") " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# Keep what was answered, for tests to read.
answered() { printf '%s\t%s\n' "$1" "$2" >>"$ROOT/standin/answers"; }

# Look again soon, but not for ever: a forgotten stand-in ends by itself.
pause() {
  if [ "$SECONDS" -gt "${STANDIN_LIFETIME:-300}" ]; then
    exit 1
  fi
  sleep 0.1
}

# Stands in for pip and the other installers.
install_requirements() {
  echo_green ">> Getting requirements..."
  if [ -n "$(behaviour eat_stdin)" ]; then
    "$PYTHON" -I -S "$ROOT/standin/eat_stdin.py" "$ROOT/standin/eaten"
  fi
  slow_start=$(behaviour slow_start)
  sleep "${slow_start:-0}"
  echo_green ">> Done!"
}

# Line 3 of the login app's settings names the contract.
set_contract() {
  number=0
  while IFS= read -r line; do
    number=$((number + 1))
    if [ $number -eq 3 ]; then
      line="SWARM_CONTRACT_ADDRESS=$1"
    fi
    echo "$line"
  done <"$ROOT/modal-login/.env" >"$ROOT/modal-login/.env.new"
  mv "$ROOT/modal-login/.env.new" "$ROOT/modal-login/.env"
}

# Start the login app in the background, its output in logs/yarn.log.
start_login_server() {
  echo "Please login to create an Ethereum Server Wallet"
  set_contract "$SWARM_CONTRACT"
  cd "$ROOT/modal-login"
  echo "Building server"
  bash "$ROOT/standin/bin/yarn" build >"$ROOT/logs/yarn.log" 2>&1
  bash "$ROOT/standin/bin/yarn" start >>"$ROOT/logs/yarn.log" 2>&1 &
  echo "Started server process: $!"
  cd "$ROOT"
}

# Wait until a person has logged in at the address $1; sets ORG_ID.
wait_for_login() {
  echo ">> Failed to open $1. Please open it manually."
  echo_green ">> Waiting for modal userData.json to be created..."
  while [ ! -f "modal-login/temp-data/userData.json" ]; do
    pause
  done
  echo "Found userData.json. Proceeding..."

  # The first line of the file that does not begin with a brace holds the organisation's name.
  while IFS= read -r line; do
    if ! [[ $line =~ ^[[:space:]]*[{}] ]] && [[ $line =~ \"([^\"]*)\" ]]; then
      ORG_ID=${BASH_REMATCH[1]}
      break
    fi
  done <modal-login/temp-data/userData.json
  echo "Your ORG_ID is set to: $ORG_ID"

  echo "Waiting for API key to become activated..."
  while true; do
    STATUS=$("$PYTHON" -I -S "$ROOT/standin/request.py" "$1/api/get-api-key-status?orgId=$ORG_ID")
    if [ "$STATUS" = activated ]; then
      echo "API key is activated! Proceeding..."
      break
    fi
    echo "Waiting for API key to be activated..."
    pause
  done
}

# A question that nobody has configured, where the test wants one.
ask_extra() {
  extra_prompt=$(behaviour extra_prompt)
  if [ -n "$extra_prompt" ]; then
    read -r -p "$extra_prompt" answer
    answered extra "$answer"
  fi
}
