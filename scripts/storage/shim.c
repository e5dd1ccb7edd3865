/*
 * A disk that can be watched and that fails on order: loaded before the C library (LD_PRELOAD), it stands between a process and the files of one folder.
 *
 *   create, write, truncate, fsync, unlink, rename ──> counted ──> strikes? killed | EIO | ENOSPC
 *                                                          └─ no ──> done, and written to the order log with its bytes
 *
 * What the process writes to MARK_FD goes into the same log as a mark: so an order log tells which disk operations stood before an acknowledgement.
 * The process arms it by unlinking "/storage-shim/KIND FROM COUNT FOLDER": operations FROM to FROM + COUNT - 1 in FOLDER are struck, counted from 0
 * anew; KIND is none, kill, eio or enospc (which lets pass what needs no space). RESIL_STORAGE_LOG names the order log, when there shall be one.
 *
 * Shared memory (-shm) is no disk and is not counted. Linux and glibc only; system calls that SQLite and libuv do not use for files are not seen, which
 * the reader of the log finds out by comparing what it rebuilds with the files.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MARK_FD 3
#define ARM "/storage-shim/"

enum { NONE, KILL, FAIL, FULL };

/* One record of the log: this head, then the path, then the bytes. disk.js reads it. */
struct record {
  uint8_t kind; /* c create, w write, t truncate, s sync, u unlink, r rename, m mark */
  uint8_t struck;
  uint16_t path_bytes;
  uint32_t data_bytes;
  uint64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_bytes;
static int kind = NONE, log_fd = -1;
static long from, count, operations;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("RESIL_STORAGE_LOG");
  if (path) log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void arm(const char *order) {
  char word[16];
  int at = 0;
  if (sscanf(order, "%15s %ld %ld %n", word, &from, &count, &at) < 3) abort();
  kind = !strcmp(word, "kill") ? KILL : !strcmp(word, "eio") ? FAIL : !strcmp(word, "enospc") ? FULL : NONE;
  snprintf(folder, sizeof folder, "%s", order + at);
  folder_bytes = strlen(folder);
  operations = 0;
}

/* Whether the path is the folder itself or a file in it that lies on the disk. */
static int watched(const char *path) {
  if (!folder_bytes || strncmp(path, folder, folder_bytes) || (path[folder_bytes] && path[folder_bytes] != '/')) return 0;
  size_t n = strlen(path);
  return n < 4 || strcmp(path + n - 4, "-shm");
}

static int watched_fd(int fd, char *path) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  long n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return watched(path);
}

/* The error that this operation ends with, or 0; does not return when the process is to die here. */
static int strike(int grows) {
  long n = operations++;
  if (kind == NONE || n < from || n - from >= count || (kind == FULL && !grows)) return 0;
  if (kind == KILL) for (;;) syscall(SYS_kill, getpid(), SIGKILL);
  return kind == FULL ? ENOSPC : EIO;
}

static void note(char what, int struck, const char *path, const void *data, size_t bytes, off_t offset) {
  if (log_fd < 0) return;
  struct record head = {(uint8_t)what, (uint8_t)(struck != 0), (uint16_t)strlen(path), (uint32_t)bytes, (uint64_t)offset};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path_bytes}, {(void *)data, bytes}};
  if (syscall(SYS_writev, log_fd, parts, 3) != (long)(sizeof head + head.path_bytes + bytes)) abort();
}

/* Counts one operation, does it unless it is struck, and notes what it did. DO is the system call; what it wrote decides how much is noted of the data. */
#define OPERATION(what, grows, path, data, offset, DO, NOTED) \
  pthread_mutex_lock(&lock); \
  int struck = strike(grows); \
  long did = struck ? -1 : (DO); \
  int error = struck ? struck : errno; \
  if (struck || did >= 0) note(what, struck, path, data, struck ? 0 : (size_t)(NOTED), offset); \
  pthread_mutex_unlock(&lock); \
  errno = error; \
  return did;

static int opened(int at, const char *path, int flags, mode_t mode) {
  if (!(flags & O_CREAT) || !watched(path) || syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0) return (int)syscall(SYS_openat, at, path, flags, mode);
  OPERATION('c', 1, path, "", 0, syscall(SYS_openat, at, path, flags, mode), 0)
}

#define MODE_OF(flags) \
  mode_t mode = 0; \
  if (flags & O_CREAT) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) { MODE_OF(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags) return opened(at, path, flags, mode); }

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  char path[PATH_MAX];
  if (!watched_fd(fd, path)) return syscall(SYS_pwrite64, fd, data, bytes, offset);
  OPERATION('w', 1, path, data, offset, syscall(SYS_pwrite64, fd, data, bytes, offset), did)
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }

ssize_t write(int fd, const void *data, size_t bytes) {
  char path[PATH_MAX];
  if (fd == MARK_FD) {
    pthread_mutex_lock(&lock);
    note('m', 0, "", data, bytes, 0);
    pthread_mutex_unlock(&lock);
  } else if (watched_fd(fd, path)) {
    off_t offset = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    OPERATION('w', 1, path, data, offset, syscall(SYS_write, fd, data, bytes), did)
  }
  return syscall(SYS_write, fd, data, bytes);
}

int ftruncate64(int fd, off64_t length) {
  char path[PATH_MAX];
  if (!watched_fd(fd, path)) return (int)syscall(SYS_ftruncate, fd, length);
  OPERATION('t', 0, path, "", length, syscall(SYS_ftruncate, fd, length), 0)
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, long call) {
  char path[PATH_MAX];
  if (!watched_fd(fd, path)) return (int)syscall(call, fd);
  OPERATION('s', 0, path, "", 0, syscall(call, fd), 0)
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int unlink(const char *path) {
  if (!strncmp(path, ARM, strlen(ARM))) {
    arm(path + strlen(ARM));
    return 0;
  }
  if (!watched(path) || syscall(SYS_faccessat, AT_FDCWD, path, F_OK)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  OPERATION('u', 0, path, "", 0, syscall(SYS_unlinkat, AT_FDCWD, path, 0), 0)
}

int rename(const char *path, const char *to) {
  if (!watched(path)) return (int)syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, 0);
  OPERATION('r', 0, path, to, 0, syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, 0), strlen(to))
}
