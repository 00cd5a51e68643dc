# Part of test/run: a private installation of PostgreSQL, and a server on it.
#
# PostgreSQL finds its libraries and shared files by their place relative to its
# programs.  So a folder that repeats the installation's paths below it (as
# DESTDIR does for make install) is an installation of its own: programs are
# copied there, since they look where they really are, and the rest are symbolic
# links.  Extensions installed into it are seen by its servers alone.

port=54329
server_runs=

make_tree() {
	tree=$work/tree
	tree_bin=$tree$bindir

	mkdir -p "$tree_bin" "$tree$pkglibdir" "$tree$sharedir"
	cp -L "$bindir"/* "$tree_bin"
	cp -rs "$pkglibdir/." "$tree$pkglibdir"
	cp -rs "$sharedir/." "$tree$sharedir"

	# An older factmerge of the system's is not to be mistaken for ours
	rm -rf "$tree$pkglibdir"/factmerge.so "$tree$pkglibdir"/bitcode/factmerge* \
		"$tree$sharedir"/extension/factmerge*
}

# Runs a command as the user whom the server runs as, for it refuses to be root
as_server() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && runuser -u "$server_user" -- "$@")
	else
		"$@"
	fi
}

choose_server_user() {
	server_user=nobody
	if id -u postgres >/dev/null 2>&1; then
		server_user=postgres
	fi
}

# start_server [SETTING=VALUE ...]
#
# Whoever reaches the socket's folder, that is its owner and root, is trusted.
start_server() {
	local folder

	choose_server_user
	for folder in data socket server-log; do
		mkdir -m 700 "$work/$folder"
		[ "$(id -u)" -ne 0 ] || chown "$server_user" "$work/$folder"
	done
	as_server test -w "$work/data" ||
		die "user $server_user cannot reach $work: set TMPDIR to a folder that every user can enter"

	say "server (PostgreSQL $major)"
	logged as_server "$tree_bin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 \
		--locale=C.UTF-8 --no-sync
	settings "$@" | as_server tee -a "$work/data/postgresql.conf" >/dev/null
	launch_server

	# What the suites and the scripts in them connect with, and find programs by
	export PGHOST=$work/socket PGPORT=$port PGUSER=postgres PGDATABASE=postgres
	export PATH=$tree_bin:$PATH PG_CONFIG=$tree_bin/pg_config
}

# The lines of postgresql.conf; the later of two for one setting counts
settings() {
	local setting

	cat <<-END
	listen_addresses = ''
	unix_socket_directories = '$work/socket'
	port = $port
	fsync = off
	timezone = 'UTC'
	log_line_prefix = '%m [%p] %q%a '
	END
	for setting in "$@" ${SERVER_CONF:-}; do
		printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"
	done
}

launch_server() {
	server_runs=yes
	as_server env ${server_environment[@]+"${server_environment[@]}"} \
		"$tree_bin/pg_ctl" -D "$work/data" -l "$work/server-log/server.log" -s -w -t 120 start && return
	cat "$work/server-log/server.log" >&2
	die "the server did not start"
}

stop_server() {
	[ -n "$server_runs" ] || return 0
	as_server "$tree_bin/pg_ctl" -D "$work/data" -s -w -m immediate stop >/dev/null 2>&1
	server_runs=
}

# A test may have crashed the server: wait for its recovery, or start it again
ensure_server() {
	local tries

	for tries in {1..60}; do
		"$tree_bin/pg_isready" -q && return
		as_server "$tree_bin/pg_ctl" -D "$work/data" status >/dev/null 2>&1 || break
		sleep 1
	done
	say "server: starting it again"
	as_server "$tree_bin/pg_ctl" -D "$work/data" -s -w -m immediate stop >/dev/null 2>&1
	launch_server
}

# fresh_database NAME [EXTENSION ...]: an empty one but for the extensions
fresh_database() {
	local name=$1 extension
	shift

	ensure_server
	"$tree_bin/dropdb" --if-exists --force "$name" 2>/dev/null
	"$tree_bin/createdb" -T template0 "$name" || return
	for extension; do
		"$tree_bin/psql" -X -q -d "$name" -c "CREATE EXTENSION $extension" || return
	done
}

#
# The same with sanitizers.  The server itself is not built with them, so their
# run-time libraries have to be loaded before it; what PostgreSQL leaves to the
# end of a process is no leak of factmerge's.
#

sanitize_flags='-fsanitize=address,undefined -fno-omit-frame-pointer -O1'

start_server_sanitized() {
	local first=$work/sanitizer_first.so

	gcc -shared -fPIC -Wl,-z,initfirst -o "$first" "$top/test/lib/sanitizer_first.c" || exit 1
	server_environment=(
		LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so) $first"
		ASAN_OPTIONS="detect_leaks=0:abort_on_error=1"
		UBSAN_OPTIONS=print_stacktrace=1
	)
	start_server
}

#
# Huge pages for a server's shared buffers: how long a new session takes to map small
# ones differs so much from machine to machine that figures say little of anything else.
# Only root may ask the kernel for them, who sets aside as many as it can.
#

huge_pages=/proc/sys/vm/nr_hugepages
huge_pages_before=

# ask_for_huge_pages MEGABYTES
ask_for_huge_pages() {
	local size

	[ "$(id -u)" -eq 0 ] && [ -w $huge_pages ] || return 0
	size=$(awk '/^Hugepagesize:/ { print $2 }' /proc/meminfo)
	[ -n "$size" ] || return 0
	huge_pages_before=$(cat $huge_pages)
	echo $((huge_pages_before + $1 * 1024 / size)) 2>/dev/null >$huge_pages || true
}

give_huge_pages_back() {
	[ -n "$huge_pages_before" ] || return 0
	echo "$huge_pages_before" 2>/dev/null >$huge_pages || true
}
