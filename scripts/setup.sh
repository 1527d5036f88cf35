#!/bin/sh
# Makes this machine ready to train: a tool chain, the build, and an adapter for wgpu to run on.
#
# If wgpu finds a hardware adapter, or a software Vulkan driver, nothing is installed. If it finds a software GL adapter
# alone, or nothing, Mesa's software Vulkan driver (lavapipe) is installed with the system's package manager. If that fails and
# there is GL, it says so and continues with GL, which is slower. It may be run at any time, and again. It exits with 0 if there is
# an adapter in the end, and otherwise with 1 after saying what to install.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$@"; }
fail() {
    say "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The best kind of adapter there is: hardware, vulkan, gl (the last two on the CPU) or none. Whether it fits what the user asked
# for is another question: if it does not, the program says so itself, and another driver would not help.
adapter_kind() {
    status=0
    found=$(
        unset WGPU_BACKEND WGPU_ADAPTER_NAME
        cargo run --release --quiet -- adapters 2>/dev/null
    ) || status=$?
    case $status in
    0 | 2) ;;
    *) fail "\`cargo run --release -- adapters\` failed with status $status: run it to see why." ;;
    esac
    case $(printf '%s\n' "$found" | grep '^\*') in
    "") echo none ;;
    *"(gl, software"*) echo gl ;;
    *", software"*) echo vulkan ;;
    *) echo hardware ;;
    esac
}

# The system's name decides which package manager is meant, since a command's name does not: Debian has a game `pacman`.
family=$(
    # shellcheck disable=SC1091
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    echo " ${ID:-} ${ID_LIKE:-} "
)
refresh=""
compiler=gcc
case $family in
*" debian "* | *" ubuntu "*)
    manager=apt-get
    compiler=build-essential
    # A fresh system has no list of packages, or an old one; and it may be installing its own updates at the same time.
    refresh="apt-get update"
    install="env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300"
    driver="mesa-vulkan-drivers libvulkan1"
    ;;
*" fedora "* | *" rhel "*)
    manager=dnf
    install="dnf install -y"
    driver="mesa-vulkan-drivers vulkan-loader"
    ;;
*" arch "*)
    manager=pacman
    # Only where there is no list of packages at all: to refresh an old one would be half an upgrade.
    ls /var/lib/pacman/sync/*.db >/dev/null 2>&1 || refresh="pacman -Sy"
    install="pacman -S --needed --noconfirm"
    driver="vulkan-swrast vulkan-icd-loader"
    ;;
*suse*)
    manager=zypper
    install="zypper --non-interactive install --no-recommends"
    driver="libvulkan_lvp libvulkan1"
    ;;
*" alpine "*)
    manager=apk
    compiler=build-base
    install="apk add"
    driver="mesa-vulkan-swrast vulkan-loader"
    ;;
*)
    manager=none
    install=""
    driver="lavapipe (Mesa's software Vulkan driver) and the Vulkan loader (libvulkan.so.1)"
    ;;
esac

have cargo || fail "there is no cargo: install Rust 1.89 or later, as https://rustup.rs describes."
case $(uname -s) in
Darwin | MINGW* | MSYS* | CYGWIN*)
    # Metal and DX12 are parts of the system.
    say "nothing to install on this system."
    exit 0
    ;;
esac
have cc || fail "there is no C linker (cc), which Rust needs: install the package $compiler."

say "building Elbo, which takes some minutes the first time"
cargo build --release || fail "the build failed; Elbo needs Rust 1.89 or later, and this is $(cargo --version)."

kind=$(adapter_kind)
case $kind in
hardware)
    say "there is a hardware adapter: nothing to install."
    exit 0
    ;;
vulkan)
    say "there is a software Vulkan adapter: nothing to install."
    exit 0
    ;;
gl) say "there is no adapter but GL on the CPU: Mesa's software Vulkan driver is two to three times as fast." ;;
none) say "there is no adapter: neither Vulkan nor GL has a driver here that wgpu could run on." ;;
*) exit 1 ;;
esac

# Ends without the driver: with GL if there is one, or else with advice.
without() {
    if [ "$kind" = gl ]; then
        say "$@" "going on with GL, which is slower."
        exit 0
    fi
    fail "$@"
}
have "$manager" || without "no package manager known here can install it. Please install by hand:" "    $driver"

# On a terminal, people can type the password of `sudo`; elsewhere, `sudo -n` fails instead of waiting for one.
as_root="sudo "
if [ "$(id -u)" -eq 0 ]; then as_root=""; fi
command="${refresh:+$as_root$refresh && }$as_root$install $driver"
if [ -n "$as_root" ]; then
    have sudo || without "to install it takes root, and there is no sudo here. Please run as root:" \
        "    ${refresh:+$refresh && }$install $driver"
    [ -t 0 ] || as_root="sudo -n "
fi

say "installing Mesa's software Vulkan driver, lavapipe, which runs on the CPU:" "    $command" \
    "(on a machine with a GPU, that GPU's own Vulkan driver is much faster)"
# Only an adapter afterwards counts: one dead package source fails a refresh without doing harm, and
# zypper's exit codes above 100 are only information.
# shellcheck disable=SC2086
if [ -n "$refresh" ]; then $as_root$refresh || say "\`$refresh\` failed; trying all the same"; fi
installed=yes
# shellcheck disable=SC2086
$as_root$install $driver || installed=no

case $(adapter_kind) in
hardware | vulkan) say "done: there is a Vulkan adapter now." ;;
*)
    if [ $installed = yes ]; then
        without "the driver is installed, but no Vulkan adapter is found: \`cargo run --release -- adapters\` may say why."
    else
        without "the driver could not be installed. To install it, run:" "    $command"
    fi
    ;;
esac
