/* Names below a folder in any case, as on Windows and macOS: LD_PRELOAD=any_case.so ANY_CASE_ROOT=FOLDER python ...

   Each function that takes a path first replaces names that do not exist by the listed names that differ only in case.
   Folders keep the case of names that are created. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int exists(const char *path) {
    return syscall(SYS_faccessat2, AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void spell(char *path, size_t start) {
    DIR *folder;
    struct dirent *entry;
    char *name = path + start, *end = strchrnul(name, '/'), rest = *end;
    if (*name == 0) return;
    *end = 0;
    if (*name && !exists(path)) {
        name[-1] = 0;
        folder = NEXT(opendir)(path);
        name[-1] = '/';
        while (folder && (entry = readdir(folder)))
            if (strcasecmp(entry->d_name, name) == 0) strcpy(name, entry->d_name); /* of equal length */
        if (folder) closedir(folder);
    }
    *end = rest;
    if (rest) spell(path, end + 1 - path);
}

/* The path with the listed names; relative paths become absolute. */
static const char *any_case(const char *path, char *place) {
    const char *root = getenv("ANY_CASE_ROOT");
    size_t length = root ? strlen(root) : 0;
    if (!root || !path || !*path || exists(path)) return path;
    if (*path == '/') snprintf(place, PATH_MAX, "%s", path);
    else {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return path;
        snprintf(place, PATH_MAX, "%.2000s/%.2000s", here, path);
    }
    if (strncmp(place, root, length) || place[length] != '/') return path;
    spell(place, length + 1);
    return place;
}

/* The same of a path that is relative to an open folder, whose names come from listings. */
static const char *any_case_at(int at, const char *path, char *place) {
    return at == AT_FDCWD || *path == '/' ? any_case(path, place) : path;
}

#define PATH(path) char path##_place[PATH_MAX]; path = any_case(path, path##_place)
#define ONE(type, name, more, given) type name(const char *path more) { PATH(path); return NEXT(name)(path given); }
#define AT(type, name, more, given) \
    type name(int at, const char *path more) { char place[PATH_MAX]; \
        return NEXT(name)(at, any_case_at(at, path, place) given); }
#define AND , /* inside an argument of a macro */
#define OPEN(name) int name(const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        PATH(path); return NEXT(name)(path, flags, mode); }
#define OPENAT(name) int name(int at, const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); char place[PATH_MAX]; \
        return NEXT(name)(at, any_case_at(at, path, place), flags, mode); }

OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)
ONE(FILE *, fopen, AND const char *mode, AND mode)
ONE(FILE *, fopen64, AND const char *mode, AND mode)
ONE(DIR *, opendir, , )
ONE(int, stat, AND struct stat *state, AND state)
ONE(int, stat64, AND struct stat64 *state, AND state)
ONE(int, lstat, AND struct stat *state, AND state)
ONE(int, lstat64, AND struct stat64 *state, AND state)
AT(int, fstatat, AND struct stat *state AND int flags, AND state AND flags)
AT(int, fstatat64, AND struct stat64 *state AND int flags, AND state AND flags)
AT(int, statx, AND int flags AND unsigned mask AND struct statx *state, AND flags AND mask AND state)
ONE(int, statvfs, AND struct statvfs *state, AND state)
ONE(int, statvfs64, AND struct statvfs64 *state, AND state)
ONE(int, access, AND int mode, AND mode)
AT(int, faccessat, AND int mode AND int flags, AND mode AND flags)
ONE(int, chmod, AND mode_t mode, AND mode)
ONE(int, mkdir, AND mode_t mode, AND mode)
AT(int, mkdirat, AND mode_t mode, AND mode)
ONE(int, rmdir, , )
ONE(int, unlink, , )
AT(int, unlinkat, AND int flags, AND flags)
ONE(int, chdir, , )
ONE(int, truncate, AND off_t size, AND size)
ONE(int, truncate64, AND off64_t size, AND size)
ONE(ssize_t, readlink, AND char *target AND size_t size, AND target AND size)
AT(ssize_t, readlinkat, AND char *target AND size_t size, AND target AND size)
ONE(char *, realpath, AND char *target, AND target)
ONE(int, utimes, AND const struct timeval times[2], AND times)
AT(int, utimensat, AND const struct timespec times[2] AND int flags, AND times AND flags)

/* The statements of programs that were built for C libraries before 2.33. */
#define OLD(name, state) int name(int version, const char *path, struct state *found) { \
        PATH(path); return ((int (*)(int, const char *, struct state *))dlsym(RTLD_NEXT, #name))(version, path, found); }
OLD(__xstat, stat) OLD(__xstat64, stat64) OLD(__lxstat, stat) OLD(__lxstat64, stat64)

/* The new path of a file; renamed to itself in another case, it gets the new name. */
static const char *new_path(const char *old, const char *given, char *place) {
    struct stat one, other;
    const char *path = any_case(given, place), *slash = strrchr(given, '/');
    if (path == place && stat(old, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino)
        strcpy(strrchr(place, '/') + 1, slash ? slash + 1 : given);
    return path;
}
int rename(const char *old, const char *path) {
    char place[PATH_MAX];
    PATH(old);
    return NEXT(rename)(old, new_path(old, path, place));
}
int renameat(int from, const char *old, int to, const char *path) {
    return from == AT_FDCWD && to == AT_FDCWD ? rename(old, path) : NEXT(renameat)(from, old, to, path);
}
int renameat2(int from, const char *old, int to, const char *path, unsigned flags) {
    char place[PATH_MAX];
    PATH(old);
    return NEXT(renameat2)(from, old, to, to == AT_FDCWD ? new_path(old, path, place) : path, flags);
}
int link(const char *old, const char *path) { PATH(old); PATH(path); return NEXT(link)(old, path); }
int linkat(int from, const char *old, int to, const char *path, int flags) {
    PATH(old); PATH(path); return NEXT(linkat)(from, old, to, path, flags);
}
int symlink(const char *target, const char *path) { PATH(path); return NEXT(symlink)(target, path); }
