/* A disk that hangs: while the file named by SLOW_FSYNC exists, whoever waits for the disk waits as
 * many milliseconds longer as SLOW_FSYNC_MS says. To be loaded before the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void hang(void) {
    const char *file = getenv("SLOW_FSYNC"), *ms = getenv("SLOW_FSYNC_MS");
    if (file == NULL || ms == NULL || access(file, F_OK) != 0) return;
    long wait = strtol(ms, NULL, 10);
    struct timespec left = {wait / 1000, wait % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {}
}

int fsync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    hang();
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    hang();
    return real(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned int flags) {
    static int (*real)(int, off64_t, off64_t, unsigned int);
    if (real == NULL)
        real = (int (*)(int, off64_t, off64_t, unsigned int))dlsym(RTLD_NEXT, "sync_file_range");
    hang();
    return real(fd, offset, bytes, flags);
}
