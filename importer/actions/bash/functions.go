package bash

// Run-task has bash print each command. What these functions do is not what the workflow says: they print nothing.
const (
	hush  = "  { local x_=$-; set +x; } 2>/dev/null\n"
	speak = "  [[ $x_ != *x* ]] || set -x\n"
)

// Each calls a command with what a step wrote to a file. The local names end with _, since a step may set a variable with any other.
const Each = `each() { # FILE COMMAND: calls it with name and value of all that a step wrote to the file
  local line_ name_ end_ value_
  while IFS= read -r line_ || [[ -n $line_ ]]; do
    if [[ $line_ =~ ^([^=]+)'<<'(.+)$ ]]; then
      name_="${BASH_REMATCH[1]}" end_="${BASH_REMATCH[2]}" value_=""
      while IFS= read -r line_ && [[ $line_ != "$end_" ]]; do value_+="$line_"$'\n'; done
      "$2" "$name_" "${value_%$'\n'}"
    elif [[ $line_ == *=* ]]; then
      "$2" "${line_%%=*}" "${line_#*=}"
    fi
  done < "$1"
}`

// Output prints what a step wrote to its GITHUB_OUTPUT; it calls each.
const Output = `output() { # STEP NAME: what a step wrote to its GITHUB_OUTPUT
` + hush + `  local wanted="$2" found=""
  pick() { if [[ $1 == "$wanted" ]]; then found="$2"; fi; }
  if [ -e "$OUTPUTS/$1" ]; then each "$OUTPUTS/$1" pick; fi
  printf '%s\n' "$found"
` + speak + `}`

// Give writes an output in the form that GITHUB_OUTPUT has for several lines.
const Give = `give() { # NAME VALUE: an output for the tasks behind this one
` + hush + `  local end="END-$RANDOM$RANDOM"
  printf '%s<<%s\n%s\n%s\n' "$1" "$end" "$2" "$end"
` + speak + `}`

// Ended keeps how a step ended.
const Ended = `ended() { # STEP CODE [on]: how a step ended, and what counts of it
` + hush + `  local how=success
  [[ $2 == 0 ]] || how=failure
  printf -v "OUTCOME_$1" %s "$how"
  [[ -z ${3:-} ]] || how=success
  printf -v "CONCLUSION_$1" %s "$how"
` + speak + `}`

// LoadEnv exports what a step wrote to GITHUB_ENV; it calls each.
const LoadEnv = `load_env() { # what a step wrote to GITHUB_ENV
` + hush + `  load_one() { export "$1=$2"; }
  each "$GITHUB_ENV" load_one
  : > "$GITHUB_ENV"
` + speak + `}`

// LoadPath takes in what a step wrote to GITHUB_PATH.
const LoadPath = `load_path() { # what a step wrote to GITHUB_PATH
` + hush + `  local line
  while IFS= read -r line; do PATH="$line:$PATH"; done < "$GITHUB_PATH"
  : > "$GITHUB_PATH"
` + speak + `}`

// Keep makes files artifacts of the task.
const Keep = `keep() { # NAME DIRECTORY PATTERN...: makes files artifacts of this task
` + hush + `  local to="$UPLOAD_DIR/$1" root="$2" files=() file code=0 IFS=
  shift 2
  if [ ! -d "$root" ]; then set -- "$(basename "$root")"; root="$(dirname "$root")"; fi
  mkdir -p "$to"
  shopt -s globstar nullglob
  pushd "$root" > /dev/null || return 1
  for file in $*; do [ ! -e "$file" ] || files+=("$file"); done
  popd > /dev/null
  shopt -u globstar nullglob
  if [ "${#files[@]}" -gt 0 ]; then tar -C "$root" -cf - -- "${files[@]}" | tar -C "$to" -xf - || code=$?; else code=1; fi
` + speak + `  return "$code"
}`

// Pack makes files one archive; it calls keep.
const Pack = `pack() { # NAME DIRECTORY PATTERN...: the same as one archive, for the tasks that fetch it
  UPLOAD_DIR="$TASK_WORKDIR/packed" keep "$@" && tar -C "$TASK_WORKDIR/packed/$1" -czf "$UPLOAD_DIR/$1.tar.gz" .
}`
