#!/usr/bin/env bash
# Kotlin without an Android SDK:
#
#   toolchains/kotlin.sh kotlinc ARGUMENT...    run the compiler; -cp is yours to give
#   toolchains/kotlin.sh jars                   print the folder of the jars to compile against
#
# The compiler and the libraries of kotlin/pom.xml are fetched with Maven into a cache folder (70 MB, once;
# MLC_TOOLCHAINS moves it). Exit code 77 where they cannot be had, with the reason on stderr; else that of
# the command.
set -euo pipefail

pom="$(cd "$(dirname "$0")" && pwd)/kotlin/pom.xml"
cache="${MLC_TOOLCHAINS:-${XDG_CACHE_HOME:-$HOME/.cache}/mlc/toolchains}"
jars="$cache/kotlin-$(sha256sum "$pom" | cut -c -16)"

unavailable() {
  echo "Kotlin is not available: $1" >&2
  exit 77
}

install() {
  command -v mvn >/dev/null || unavailable "there is no Maven (mvn) to fetch its compiler with."
  mkdir -p "$cache"
  exec 9>"$cache/kotlin.lock"
  flock 9 # another process may be at it
  [ -d "$jars" ] && return
  aside="$(mktemp -d "$cache/kotlin-installing-XXXX")"
  trap 'rm -rf "$aside"' EXIT
  mvn --quiet --batch-mode --file "$pom" dependency:copy-dependencies -DoutputDirectory="$aside" \
    -Dmdep.stripVersion=true >&2 || unavailable "Maven cannot fetch its compiler."
  local library
  for library in "$aside"/*.aar; do # Android's archives hold their classes in a jar of their own
    (cd "$aside" && jar xf "$library" classes.jar && mv classes.jar "${library%.aar}.jar" && rm "$library")
  done
  mv "$aside" "$jars"
}

command -v java >/dev/null || unavailable "there is no Java."
[ -d "$jars" ] || install
case "${1:-}" in
  kotlinc)
    shift
    # One compilation is over before the optimizing compiler of the JVM pays.
    exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" \
      org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect "${@}"
    ;;
  jars) echo "$jars" ;;
  *)
    echo "Usage: toolchains/kotlin.sh kotlinc ARGUMENT... | toolchains/kotlin.sh jars" >&2
    exit 2
    ;;
esac
