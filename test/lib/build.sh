# Part of test/run: compiles copies of the sources, so that neither objects of
# an ordinary `make` nor those of another compiler get mixed in.

# build NAME [VARIABLE=VALUE ...]: builds in $work/build-NAME with warnings as
# errors; the variables are for make
build() {
	local name=$1 folder=$work/build-$1
	shift

	say "build ($name)"
	mkdir -p "$folder/src"
	cp "$top/Makefile" "$top"/*.control "$top"/*.sql "$folder"
	cp "$top"/src/*.[ch] "$folder/src"
	if ! make -s -k -j "$(nproc)" --no-print-directory -C "$folder" \
			PG_CONFIG="$pg_config" WERROR=1 "$@" all >"$work/log" 2>&1; then
		cat "$work/log"
		say "build ($name) failed"
		return 1
	fi
}

# Installs what build NAME has built into the private installation, and what looks for
# orphans in the tests' databases
install_into_tree() {
	cp "$top"/test/orphans/* "$tree$sharedir/extension" || return
	logged make -s --no-print-directory -C "$work/build-$1" PG_CONFIG="$pg_config" \
		${2:+"$2"} DESTDIR="$tree" install
}
