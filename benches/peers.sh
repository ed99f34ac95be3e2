# Sourced by what measures against others.

# peers FOLDER PACKAGE...: npm's packages in a folder, unless they are there. Among them is node, which comes last:
# newer npm runs no package's own script, by which that one fetches the program.
peers() {
  local node=$1/node_modules/node
  [ ! -x "$node/bin/node" ] || return 0
  mkdir -p "$1"
  (cd "$1" && echo '{"private":true}' >package.json && npm i --no-audit --no-fund --silent "${@:2}" >/dev/null)
  [ -x "$node/bin/node" ] || (cd "$node" && node installArchSpecificPackage.js >/dev/null)
}
