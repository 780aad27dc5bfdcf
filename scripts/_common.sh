# Sourced by the scripts: one virtual environment for all of them, made when it is missing or out of date.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore ORT_DISABLE_TELEMETRY=1

say() { printf '%s\n' "$*" >&2; }

# install PACKAGE... : the Debian packages that are missing; as root installs them, else says what is missing.
install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing ${missing[*]} ..."
    (apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}") \
      >"$root/.apt.log" 2>&1 && rm -f "$root/.apt.log" && return 0
    say "Installing failed; $root/.apt.log says why."
  fi
  say "Missing: ${missing[*]}. As root: apt-get install ${missing[*]}"
  return 1
}

# The newest Python we support that is here.
python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.10; do
    "$name" -c 'import sys; sys.exit(not sys.version_info >= (3, 10))' 2>/dev/null && { command -v "$name"; return; }
  done
  say "Python 3.10 or newer is needed; there is $(python3 --version 2>&1)."
  return 1
}

# environment EXTRAS : the virtual environment with mb9k and these extras; quick when nothing changed.
environment() {
  local wanted stamp="$venv/.made-from-$1" interpreter
  wanted=$(sha256sum <"$root/pyproject.toml")
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
  interpreter=$(python) || return 1
  if ! [ -x "$venv/bin/pip" ]; then
    "$interpreter" -c 'import ensurepip' 2>/dev/null || install python3-venv ||
      { say "Without python3-venv there is no virtual environment, and nothing can be started."; return 1; }
    "$interpreter" -m venv --clear "$venv" || return 1
  fi
  say "Getting the Python packages (about a minute, the first time) ..."
  "$venv/bin/pip" install -q -e "$root[$1]" || { say "pip could not get the packages; see above."; return 1; }
  printf '%s' "$wanted" >"$stamp"
}
