#!/usr/bin/env bash
# Put a bundle of mlc into the app: `ios_sample/take.sh dist/`; then build. No code changes.
#
# Makes the folder Model, which the project refers to: the package as Model.mlpackage, the golden cases, and the
# Swift package MLCBindings, generated from the manifest. MLC names another mlc than that on the PATH.
set -euo pipefail

[ $# = 1 ] || { echo "Usage: take.sh BUNDLE" >&2; exit 2; }
bundle="$1" here="$(cd "$(dirname "$0")" && pwd)"
fail() { echo "$bundle cannot be taken: $1" >&2; exit 1; }

[ -f "$bundle/golden/golden.json" ] || fail "it has no golden cases. Build it with --golden 3."
aside="$(mktemp -d "$here/taking-XXXX")"
trap 'rm -rf "$aside"' EXIT
${MLC:-mlc} bindings "$bundle" --swift -o "$aside"

mv "$aside/swift" "$aside/MLCBindings"
sources="$aside/MLCBindings/Sources/MLCBindings"
facts="$(grep -l 'static let description = ModelDescription' "$sources"/*.swift)"
package="$(sed -n 's/^ *file: "\(.*\)",$/\1/p' "$facts")"
[ -e "$bundle/$package" ] || fail "$package is not there."
cat >"$sources/BundledModel.swift" <<SWIFT
/// The model inside the app, whatever its name.
public typealias BundledModel = $(basename "$facts" .swift)
SWIFT

cp -R "$bundle/$package" "$aside/Model.mlpackage"
mkdir "$aside/bundle"
cp -R "$bundle/golden" "$aside/bundle/golden"
rm -rf "$here/Model"
mv "$aside" "$here/Model"
chmod 755 "$here/Model"
trap - EXIT
