# Part of test/run: the suites and the counting.
#
# A suite adds to the totals one test for each pg_regress test, isolation spec
# and TAP assertion.  A file that breaks off, or that runs no test, counts as a
# failure, whatever the tools say.
#
# Each TAP file gets an empty database to itself, $PGDATABASE.  What runs in it:
#
#	test/tap/*.sql		by psql; the extensions pgtap and factmerge are there
#	test/property/run.pl	a Perl program
#	test/t/*.t, example/*/t/*.t	any executable; a file that is none, by perl
#
# They find the server by PGHOST, PGPORT and PGUSER, its programs by
# PATH, and run in the source folder.

total_passed=0
total_failed=0

# count PASSED FAILED
count() {
	total_passed=$((total_passed + $1))
	total_failed=$((total_failed + $2))
	suite_passed=$((suite_passed + $1))
	suite_failed=$((suite_failed + $2))
}
suite_passed=0
suite_failed=0

run_suites() {
	local suite

	for suite; do
		case $suite in
			regress | pgtap | isolation | property | scripts | examples) ;;
			*) die "no such suite: $suite" ;;
		esac
	done
	ensure_server
	look_for_orphans template1
	for suite; do
		suite_passed=0
		suite_failed=0
		say "" "== $suite"
		ensure_server
		"run_$suite"
		if [ $((suite_passed + suite_failed)) -gt 0 ]; then
			say "$suite: $suite_passed passed, $suite_failed failed."
		else
			say "$suite: there are no tests."
		fi
	done
}

# look_for_orphans DATABASE: from now on no merge in it leaves a foreign key that does not
# hold, or the merge fails.  That goes for every database of the suites: for those that
# are made of template1, and see in_fresh_database and installcheck.
look_for_orphans() {
	"$tree_bin/psql" -X -q -d "$1" -v ON_ERROR_STOP=1 \
		-c "CREATE EXTENSION IF NOT EXISTS factmerge_orphans" >/dev/null || die "cannot look for orphans in $1"
}

# The last thing that a test run says
report_and_exit() {
	stop_server
	save_output
	[ $((total_passed + total_failed)) -gt 0 ] || die "there was no test to run"
	say ""
	if [ "$total_failed" -gt 0 ] && [ -d "$top/tmp_check" ]; then
		say "What the suites wrote, and the server's log, are in $top/tmp_check."
	fi
	say "$total_passed passed, $total_failed failed"
	[ "$total_failed" -eq 0 ]
	exit
}

report_broken_build() {
	count 0 1
	report_and_exit
}

# For whoever wants to look at results; a read-only source folder goes without
save_output() {
	local kept=$top/tmp_check

	[ -w "$top" ] || return 0
	rm -rf "$kept"
	[ -d "$work/server-log" ] || return 0
	mkdir "$kept" && cp -r "$work/out/." "$work"/server-log "$kept"
}

#
# pg_regress and pg_isolation_regress, by way of make installcheck
#

run_regress() {
	installcheck regress ISOLATION= "$top"/sql/*.sql
}

run_isolation() {
	installcheck isolation REGRESS= "$top"/test/isolation/specs/*.spec
}

# installcheck SUITE OTHER-SUITE= FILE ...
installcheck() {
	local suite=$1 other=$2 out=$work/out/$1 passed failed status
	shift 2

	[ -e "$1" ] || return 0
	mkdir -p "$out"
	make -s --no-print-directory -C "$top" PG_CONFIG="$pg_config" "$other" \
		EXTRA_REGRESS_OPTS="--bindir='$tree_bin' --outputdir='$out' --load-extension=factmerge_orphans" installcheck 2>&1 | tee "$out/log"
	status=$?

	# "test name ... ok 12 ms" up to PostgreSQL 15, "ok 1 - name 12 ms" after
	passed=$(grep -cE '\.\.\. ok( |$)|^ok [0-9]' "$out/log")
	failed=$(($# - passed))
	if [ $failed -le 0 ] && [ $status -ne 0 ]; then
		failed=1
	fi
	[ ! -s "$out/regression.diffs" ] || cat "$out/regression.diffs"
	count "$passed" $failed
}

#
# TAP
#

run_pgtap() {
	local file

	for file in "$top"/test/tap/*.sql; do
		[ -e "$file" ] || continue
		in_fresh_database "$file" pgtap factmerge -- "$tree_bin/psql" -X -q -A -t -P pager=off \
			-v ON_ERROR_STOP=1 -f "$file"
	done
}

run_property() {
	local program=$top/test/property/run.pl

	[ -e "$program" ] || return 0
	in_fresh_database "$program" -- perl "$program" "$@"
}

run_scripts() {
	run_all_of "$top"/test/t/*.t
}

run_examples() {
	run_all_of "$top"/example/*/t/*.t
}

run_all_of() {
	local file

	for file; do
		[ -e "$file" ] || continue
		if [ -x "$file" ]; then
			in_fresh_database "$file" -- "$file"
		else
			in_fresh_database "$file" -- perl "$file"
		fi
	done
}

# in_fresh_database FILE [EXTENSION ...] -- COMMAND ...: runs the command, which
# prints TAP, under the file's name
in_fresh_database() {
	local file=$1 extensions=() tally=$work/tally
	shift
	while [ "$1" != -- ]; do
		extensions+=("$1")
		shift
	done
	shift

	rm -f "$tally"
	fresh_database factmerge_test factmerge_orphans ${extensions[@]+"${extensions[@]}"} &&
		(cd "$top" && PGDATABASE=factmerge_test \
			perl "$top/test/lib/tap.pl" "${file#"$top"/}" "$tally" "$@")
	if [ -s "$tally" ]; then
		# shellcheck disable=SC2046
		count $(cat "$tally")
	else
		say "${file#"$top"/}: did not run"
		count 0 1
	fi
}

#
# What the sanitizers found is in the server's log, whether or not a test noticed
#

check_sanitizer_reports() {
	local log=$work/server-log/server.log mark='ERROR: AddressSanitizer: |runtime error: ' reports

	reports=$(grep -cE "$mark" "$log")
	if [ "$reports" -gt 0 ]; then
		say "" "== what the sanitizers found"
		grep -E -A 30 "$mark" "$log"
		count 0 "$reports"
	fi
}
