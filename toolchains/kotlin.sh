#!/usr/bin/env bash
# Kotlin without an Android SDK:
#
#   toolchains/kotlin.sh kotlinc ARGUMENT...    run the compiler; -cp is yours to give
#   toolchains/kotlin.sh jars [POM]             print the folder of the jars to compile against
#
# The compiler and the libraries of kotlin/pom.xml, or those of another POM such as kotlin/android.xml, are
# fetched with Maven into a cache folder, once (MLC_TOOLCHAINS moves it). Exit code 77 where they cannot be
# had, with the reason on stderr; else that of the command.
set -euo pipefail

own="$(cd "$(dirname "$0")" && pwd)/kotlin/pom.xml"
cache="${MLC_TOOLCHAINS:-${XDG_CACHE_HOME:-$HOME/.cache}/mlc/toolchains}"

unavailable() {
  echo "Kotlin is not available: $1" >&2
  exit 77
}

# Print the folder that holds the jars of a POM, under their names without a version; and in jni/ the native
# libraries of Android archives, by ABI.
jars() {
  local pom="$1" library jars
  jars="$cache/jars-$(cat "$pom" "$0" | sha256sum | cut -c -16)"
  if [ ! -d "$jars" ]; then
    command -v mvn >/dev/null || unavailable "there is no Maven (mvn) to fetch $pom with."
    mkdir -p "$cache"
    exec 9>"$jars.lock"
    flock 9 # another process may be at it
    if [ ! -d "$jars" ]; then
      aside="$(mktemp -d "$cache/installing-XXXX")"
      trap 'rm -rf "$aside"' EXIT
      mvn --quiet --batch-mode --file "$pom" dependency:copy-dependencies -DoutputDirectory="$aside" \
        -Dmdep.stripVersion=true >&2 || unavailable "Maven cannot fetch $pom."
      for library in "$aside"/*.aar; do # Android's archives hold their classes in a jar of their own
        [ -f "$library" ] || continue
        (cd "$aside" && jar xf "$library" classes.jar jni && mv classes.jar "${library%.aar}.jar")
        rm "$library"
      done
      chmod 755 "$aside"
      mv "$aside" "$jars"
      trap - EXIT
    fi
    flock -u 9
  fi
  echo "$jars"
}

command -v java >/dev/null || unavailable "there is no Java."
case "${1:-}" in
  kotlinc)
    shift
    compiler="$(jars "$own")"
    # One compilation is over before the optimizing compiler of the JVM pays.
    exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$compiler/*" \
      org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect "$@"
    ;;
  jars) jars "${2:-$own}" ;;
  *)
    echo "Usage: toolchains/kotlin.sh kotlinc ARGUMENT... | toolchains/kotlin.sh jars [POM]" >&2
    exit 2
    ;;
esac
