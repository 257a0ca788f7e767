/* The local launcher: fork and exec on this machine. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "orchestrator/child.h"

static void close_pair(int fd[2])
{
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0) close(fd[i]);
}

/* In the child between fork and exec: system calls only. */
static void become(const char *program, char *const argv[], int print_fd, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1); /* it died before the line above */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(print_fd, 1) < 0 || dup2(print_fd, 2) < 0) _exit(1);
    if (null > 2) close(null);
    execv(program, argv);
    dprintf(2, "%s: %s\n", program, strerror(errno));
    _exit(2);
}

static ch4_status start(ch4_child *c, const char *program, char *const argv[], ch4_err *err)
{
    int ready[2] = {-1, -1}, print[2] = {-1, -1};
    char number[16] = "", *args[CH4_CHILD_ARGS];
    if (access(program, X_OK)) return ch4_err_set_errno(err, errno, "%s", program);
    if (pipe2(ready, O_CLOEXEC) || pipe2(print, O_CLOEXEC)) {
        close_pair(ready);
        return ch4_err_set_errno(err, errno, "pipe");
    }
    int n = 0;
    for (; n < CH4_CHILD_ARGS - 1 && argv[n]; n++) args[n] = n > 0 && !strcmp(argv[n - 1], "--ready-fd") ? number : argv[n];
    args[n] = NULL;
    snprintf(number, sizeof number, "%d", ready[1]);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        fcntl(ready[1], F_SETFD, 0);
        become(program, args, print[1], parent);
    }
    if (pid < 0) {
        ch4_status status = ch4_err_set_errno(err, errno, "fork");
        close_pair(ready);
        close_pair(print);
        return status;
    }
    setpgid(pid, pid); /* both do it: whoever is first */
    close(ready[1]);
    close(print[1]);
    fcntl(ready[0], F_SETFL, O_NONBLOCK);
    fcntl(print[0], F_SETFL, O_NONBLOCK);
    c->pid = pid, c->ready_fd = ready[0], c->print_fd = print[0];
    return CH4_OK;
}

static void send_signal(const ch4_child *c, int signum)
{
    if (c->pid > 0) kill(-c->pid, signum);
}

const ch4_launcher ch4_launcher_local = {.start = start, .signal = send_signal};
