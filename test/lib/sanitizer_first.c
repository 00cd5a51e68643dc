/*
 * sanitizer_first.c
 *
 * Starts the address sanitizer before anything else, when both are preloaded
 * into a server that was not built with it (test/lib/server.sh).
 *
 * The sanitizer starts at the first allocation.  Left to themselves, the
 * constructors of the libraries that PostgreSQL is linked with allocate first,
 * and one of them does so inside newlocale(), which holds a lock of the C
 * library.  Starting up, the sanitizer looks for an optional symbol and asks
 * for the text of the error that it gets; the text is translated, which takes
 * the same lock and leaves it broken, and the process hangs at its next use.
 * This library is linked with -z initfirst, hence its constructor runs before.
 */
#include <stdlib.h>

static void __attribute__((constructor))
start_sanitizer(void)
{
	void	   *volatile memory = malloc(1);

	free(memory);
}
