/* Loaded before libc (LD_PRELOAD): counts calls on files below a folder, and does harm at some.
 *
 * What to do stands in environment variables, see shim.py; without FAULTS_BELOW nothing is done. The
 * counts are in a file that all processes of a build map, so that "the 40th write" is one of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { OPEN, CREATE, WRITE, SYNC, RENAME, KINDS };

/* As in shim.py. */
struct state {
    atomic_long calls[KINDS], matched, done, shift;
};

static struct state *state;
static char below[PATH_MAX];
static size_t below_length;
static long kinds, first, last, error, number, shift;

static long setting(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

/* Reads the environment anew: for a process that was forked from one that was not armed. */
__attribute__((constructor)) void faults_arm(void) {
    const char *folder = getenv("FAULTS_BELOW"), *path = getenv("FAULTS_STATE");
    if (!folder || !path || strlen(folder) >= sizeof below) return;
    strcpy(below, folder);
    below_length = strlen(folder);
    kinds = setting("FAULTS_KINDS");
    first = setting("FAULTS_FIRST");
    last = setting("FAULTS_LAST");
    error = setting("FAULTS_ERROR");
    number = setting("FAULTS_SIGNAL");
    shift = setting("FAULTS_SHIFT");
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *at = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (at != MAP_FAILED) state = at;
}

static int is_below(int folder, const char *path) {
    char link[64], name[PATH_MAX];
    if (!path || path[0] != '/') {
        if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, name, sizeof name - 1);
        if (n < 0) return 0;
        name[n] = 0;
        path = name;
    }
    return !strncmp(path, below, below_length) && (!path[below_length] || path[below_length] == '/');
}

/* Counts a call; whether it must fail, with errno set. May not return. */
static int harmed(enum kind kind, int folder, const char *path) {
    int before = errno;
    if (!state || !is_below(folder, path)) return errno = before, 0;
    errno = before;
    atomic_fetch_add(&state->calls[kind], 1);
    if (!(kinds >> kind & 1)) return 0;
    long n = atomic_fetch_add(&state->matched, 1) + 1;
    if (n < first || n > last) return 0;
    atomic_fetch_add(&state->done, 1);
    if (shift) atomic_store(&state->shift, shift);
    if (number) kill(0, number);
    if (error) errno = (int)error;
    return error != 0;
}

#define REAL(name)                                                       \
    static __typeof__(&name) real;                                       \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static enum kind kind_of(int flags) {
    return flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC) ? CREATE : OPEN;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN_AS(name)                                                    \
    int name(const char *path, int flags, ...) {                         \
        REAL(name);                                                      \
        va_list rest;                                                    \
        va_start(rest, flags);                                           \
        mode_t mode = mode_of(flags, rest);                              \
        va_end(rest);                                                    \
        return harmed(kind_of(flags), AT_FDCWD, path) ? -1 : real(path, flags, mode); \
    }
#define OPEN_AT(name)                                                    \
    int name(int folder, const char *path, int flags, ...) {             \
        REAL(name);                                                      \
        va_list rest;                                                    \
        va_start(rest, flags);                                           \
        mode_t mode = mode_of(flags, rest);                              \
        va_end(rest);                                                    \
        return harmed(kind_of(flags), folder, path) ? -1 : real(folder, path, flags, mode); \
    }
#define ON_FILE(type, kind, name, parameters, ...)                       \
    type name parameters {                                               \
        REAL(name);                                                      \
        return harmed(kind, file, NULL) ? -1 : real(__VA_ARGS__);        \
    }
#define ON_PATH(kind, name, parameters, folder, path, ...)               \
    int name parameters {                                                \
        REAL(name);                                                      \
        return harmed(kind, folder, path) ? -1 : real(__VA_ARGS__);      \
    }

OPEN_AS(open)
OPEN_AS(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
ON_FILE(ssize_t, WRITE, write, (int file, const void *from, size_t n), file, from, n)
ON_FILE(ssize_t, WRITE, pwrite, (int file, const void *from, size_t n, off_t at), file, from, n, at)
ON_FILE(ssize_t, WRITE, pwrite64, (int file, const void *from, size_t n, off64_t at), file, from, n, at)
ON_FILE(ssize_t, WRITE, writev, (int file, const struct iovec *from, int n), file, from, n)
ON_FILE(int, SYNC, fsync, (int file), file)
ON_FILE(int, SYNC, fdatasync, (int file), file)
ON_PATH(CREATE, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, path, mode)
ON_PATH(RENAME, rename, (const char *from, const char *to), AT_FDCWD, to, from, to)
ON_PATH(RENAME, renameat, (int a, const char *from, int b, const char *to), b, to, a, from, b, to)
ON_PATH(RENAME, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), b, to,
        a, from, b, to, flags)
ON_PATH(RENAME, link, (const char *from, const char *to), AT_FDCWD, to, from, to)
ON_PATH(RENAME, linkat, (int a, const char *from, int b, const char *to, int flags), b, to,
        a, from, b, to, flags)

static long shifted(void) { return state ? atomic_load(&state->shift) : 0; }

int clock_gettime(clockid_t clock, struct timespec *into) {
    REAL(clock_gettime);
    int found = real(clock, into);
    if (!found && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) into->tv_sec += shifted();
    return found;
}

int gettimeofday(struct timeval *restrict into, void *restrict zone) {
    REAL(gettimeofday);
    int found = real(into, zone);
    if (!found) into->tv_sec += shifted();
    return found;
}

time_t time(time_t *into) {
    REAL(time);
    time_t now = real(NULL) + shifted();
    if (into) *into = now;
    return now;
}
