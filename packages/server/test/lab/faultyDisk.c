/*
 * LD_PRELOAD: writes and syncs of files whose path has FAULTY_PATH in it fail while the file FAULTY_CONTROL exists. It has two words:
 * which calls ("write", "sync" or "both") and with which number of errno.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, const char *call) {
  const char *control = getenv("FAULTY_CONTROL"), *faulty = getenv("FAULTY_PATH");
  char link[64], path[4096], which[16] = "";
  int number = 0;
  if (control == NULL || faulty == NULL || access(control, F_OK) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strstr(path, faulty) == NULL) return 0;
  FILE *file = fopen(control, "r");
  if (file == NULL) return 0;
  int read = fscanf(file, "%15s %d", which, &number);
  fclose(file);
  if (read != 2 || (strcmp(which, "both") != 0 && strcmp(which, call) != 0)) return 0;
  errno = number;
  return 1;
}

#define NEXT(name, type) static type next; if (next == NULL) next = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*write_call)(int, const void *, size_t);
typedef ssize_t (*pwrite_call)(int, const void *, size_t, off_t);
typedef int (*sync_call)(int);

ssize_t write(int fd, const void *bytes, size_t size) {
  NEXT("write", write_call);
  return fails(fd, "write") ? -1 : next(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  NEXT("pwrite", pwrite_call);
  return fails(fd, "write") ? -1 : next(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  NEXT("pwrite64", pwrite_call);
  return fails(fd, "write") ? -1 : next(fd, bytes, size, at);
}
int fsync(int fd) {
  NEXT("fsync", sync_call);
  return fails(fd, "sync") ? -1 : next(fd);
}
int fdatasync(int fd) {
  NEXT("fdatasync", sync_call);
  return fails(fd, "sync") ? -1 : next(fd);
}
