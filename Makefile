# factmerge: building, installing and testing.  `make help` lists the targets.
#
# The first half is an ordinary PGXS makefile.  The second half hands over to
# test/run, which installs what is missing, builds in a temporary folder and
# starts a server of its own; none of it touches the system's PostgreSQL.

EXTENSION = factmerge
MODULE_big = factmerge
DATA = factmerge--1.0.sql factmerge--1.0--1.1.sql

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

PG_CONFIG ?= pg_config

# PostgreSQL's own headers are system headers here, so that the warnings below
# are about factmerge and nothing else, whichever server it is built for.
SERVER_HEADERS := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
PG_CPPFLAGS = -isystem $(SERVER_HEADERS)

# -Wno-unused-parameter: every function of the version-1 calling convention,
# and every hook and callback, has parameters that it may have no use for.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter

# Warnings are errors in the project's own tests (make WERROR=1), not for
# somebody who builds with a compiler that does not exist yet.
ifneq ($(WERROR),)
PG_CFLAGS += -Werror
endif

# PostgreSQL passes on the flags of the compiler it was built with, usually
# gcc; clang remarks on each of them that it does not know.
ifneq ($(findstring clang,$(CC)),)
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif

REGRESS := $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
ISOLATION := $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation

EXTRA_CLEAN = tmp_check

ifneq ($(wildcard $(SERVER_HEADERS)/postgres.h),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The headers are few and shared: any change rebuilds everything
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h)
else
all install uninstall installcheck:
	@echo "no PostgreSQL server headers found with PG_CONFIG=$(PG_CONFIG);" \
	      "on Debian 12: apt-get install gcc libc6-dev postgresql-server-dev-15" >&2
	@exit 1
clean:
	rm -rf src/*.o src/*.bc factmerge.so $(EXTRA_CLEAN)
.PHONY: all install uninstall installcheck clean
endif

# What runs on a server of its own.  `make help` says what may be set.

test:
	@test/run test $(SUITES)

property:
	@test/run property $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST))

sanitize:
	@test/run sanitize $(SUITES)

demo:
	@test/run demo

bench:
	@test/run bench $(BENCH_ARGS)

# By hand, as root: other releases of Debian, for their PostgreSQL
versions:
	@test/versions $(if $(ROOTS),-d "$(ROOTS)") $(if $(MIRROR),-m "$(MIRROR)") \
		$(if $(RELEASES),-r "$(RELEASES)") $(SUITES)

help:
	@test/run help

.PHONY: test property sanitize demo bench versions help
