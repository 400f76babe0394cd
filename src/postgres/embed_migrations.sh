#!/bin/sh
# Turns the migration files named as arguments into a C table of { name, sql }, byte for byte.
set -eu

echo '/* Generated from migrations/ by src/postgres/embed_migrations.sh. */'
echo '#include "postgres/migrations.h"'
number=0
for file in "$@"; do
    printf '\nstatic const char sql_%d[] = {\n' "$number"
    od -An -v -td1 "$file" | sed 's/\(-\{0,1\}[0-9][0-9]*\)/\1,/g'
    printf '    0};\n'
    number=$((number + 1))
done
printf '\nconst struct migration migrations_all[] = {\n'
number=0
for file in "$@"; do
    printf '    {"%s", sql_%d},\n' "${file##*/}" "$number"
    number=$((number + 1))
done
echo '};'
echo 'const size_t migrations_count = sizeof(migrations_all) / sizeof(migrations_all[0]);'
