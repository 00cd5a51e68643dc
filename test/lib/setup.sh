# Part of test/run: messages, the temporary folder, and the tools, which are
# found or installed.

say() {
	printf '%s\n' "$@"
}

die() {
	printf 'test/run: %s\n' "$*" >&2
	exit 1
}

# What a user has set for servers, builds and languages of his own would reach
# into ours.  PG_CONFIG, which says what to build for, is the one exception.
forget_callers_settings() {
	local name

	for name in $(compgen -e PG); do
		[ "$name" = PG_CONFIG ] || unset "$name"
	done
	unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL DESTDIR LANGUAGE
	export LC_ALL=C.UTF-8
}

# From here on, whatever happens, clean_up runs
make_work_folder() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/factmerge.XXXXXX") || exit 1
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM

	# A socket's address has 107 bytes, and its folder is in here
	[ ${#work} -le 75 ] || die "TMPDIR is too long a path for a server's socket: $TMPDIR"
	chmod 711 "$work"
	mkdir "$work/out"
}

clean_up() {
	local status=$?

	trap '' HUP INT TERM
	cd /
	stop_server
	give_huge_pages_back
	allow_main_cluster
	if [ -n "${KEEP:-}" ]; then
		say "left behind: $work" >&2
	else
		rm -rf "$work"
	fi
	exit $status
}

#
# The tools.  Each is known by a name, by a test that it is there, and by the
# Debian packages that bring it.
#

have_compiler() { have gcc && have make && [ -e /usr/include/stdio.h ]; }
have_clang() { have clang; }
have_server() { [ -f "$server_headers/postgres.h" ] && [ -f "$pgxs" ] && [ -x "$bindir/initdb" ]; }
have_pgtap() { [ -f "$sharedir/extension/pgtap.control" ]; }
have_cron() { [ -f "$pkglibdir/pg_cron.so" ]; }
have_perl() { perl -MTAP::Parser -e 1 2>/dev/null; }
have_dbd-pg() { perl -MDBD::Pg -e 1 2>/dev/null; }
have_wordnet() { [ -e /usr/share/wordnet/data.noun ]; }

have() {
	command -v "$1" >/dev/null
}

# Makes sure of the tools with the given names, or exits
require() {
	local missing packages

	find_postgres
	missing=$(missing_of "$@")
	[ -n "$missing" ] || return 0

	if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
		die "packages are missing; on Debian, as root: apt-get install $(packages_of $missing)"
	fi

	# Of several sources one may be out of reach, and not matter
	say "packages: updating the lists"
	apt-get update >"$work/log" 2>&1 </dev/null || cat "$work/log" >&2
	find_postgres
	packages=$(packages_of $missing)
	say "packages: installing $packages"
	forbid_main_cluster
	logged env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $packages
	allow_main_cluster

	find_postgres
	missing=$(missing_of "$@")
	[ -z "$missing" ] || die "$packages: installed, and still there is no $missing"
}

missing_of() {
	local tool missing=

	for tool; do
		"have_$tool" || missing+=" $tool"
	done
	echo "${missing# }"
}

packages_of() {
	local tool packages=

	for tool; do
		case $tool in
			compiler) packages+=" gcc libc6-dev make" ;;
			clang) packages+=" clang" ;;
			server) packages+=" postgresql-$major postgresql-server-dev-$major" ;;
			pgtap) packages+=" postgresql-$major-pgtap" ;;
			cron) packages+=" postgresql-$major-cron" ;;
			perl) packages+=" perl" ;;
			dbd-pg) packages+=" libdbd-pg-perl" ;;
			wordnet) packages+=" wordnet-base" ;;
		esac
	done
	echo "${packages# }"
}

# Runs a command whose output is of interest only when it fails
logged() {
	"$@" >"$work/log" 2>&1 </dev/null && return
	cat "$work/log" >&2
	die "failed: $*"
}

# Debian's server package makes a cluster and starts it.  Nobody has asked for
# one here, so until it is installed Debian's configuration says no.
no_main_cluster=/etc/postgresql-common/createcluster.d/zz-factmerge.conf

forbid_main_cluster() {
	mkdir -p "${no_main_cluster%/*}"
	echo 'create_main_cluster = false' >"$no_main_cluster"
}

allow_main_cluster() {
	[ -e "$no_main_cluster" ] || return 0
	rm "$no_main_cluster"
	rmdir --ignore-fail-on-non-empty "${no_main_cluster%/*}"
}

# Chooses a PostgreSQL: the one that PG_CONFIG names; else the one that extensions
# are built for here; else the one that this Debian comes with.
find_postgres() {
	local config=${PG_CONFIG:-pg_config}

	server_headers=$("$config" --includedir-server 2>/dev/null)
	if [ -z "${PG_CONFIG:-}" ] && [ ! -f "$server_headers/postgres.h" ]; then
		major=$(debians_major)
		config=/usr/lib/postgresql/$major/bin/pg_config
		server_headers=$("$config" --includedir-server 2>/dev/null)
	else
		major=$("$config" --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
		[ -n "$major" ] || die "PG_CONFIG=$config does not run"
	fi
	pgxs=$("$config" --pgxs 2>/dev/null)
	bindir=$("$config" --bindir 2>/dev/null)
	pkglibdir=$("$config" --pkglibdir 2>/dev/null)
	sharedir=$("$config" --sharedir 2>/dev/null)
	pg_config=$(command -v "$config")
}

# Debian's metapackage depends on the version that this Debian comes with
debians_major() {
	local major

	major=$(apt-cache depends postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | head -n 1)
	echo "${major:-15}"
}
