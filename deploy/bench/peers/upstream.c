//go:build ignore

// The upstream of the peers' measurement: answers every GET with 200, over HTTP/1.1 connections that stay open, in one
// thread. It does as little as it can, so that what is measured is the proxy in front of it.
//
//   upstream PORT     listens on 127.0.0.1:PORT
//
// A request whose line has "/big/" in it gets 10 240 bytes, any other one 200. A request must have no body.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_HEAD = 16384, MAX_EVENTS = 256, SMALL = 200, BIG = 10240 };

// The part of a head that was read of a connection whose request is not whole yet.
struct partial {
	int len;
	char buf[MAX_HEAD];
};

static struct partial *partials[MAX_FD];
static char small[SMALL + 256], big[BIG + 256];
static int small_len, big_len;

static int reply(char *out, int body) {
	int n = sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", body);
	memset(out + n, 'x', body);
	return n + body;
}

static void drop(int fd) {
	free(partials[fd]);
	partials[fd] = NULL;
	close(fd);
}

// send_all writes everything. The socket does not block, and no reply is larger than its buffer unless the peer stopped
// reading, which ends the connection.
static int send_all(int fd, const char *p, int n) {
	while (n > 0) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
		if (w <= 0)
			return -1;
		p += w;
		n -= w;
	}
	return 0;
}

// serve reads what there is and answers each request whose head is whole.
static void serve(int fd) {
	static char buf[2 * MAX_HEAD];
	int have = 0;
	struct partial *kept = partials[fd];
	if (kept) {
		have = kept->len;
		memcpy(buf, kept->buf, have);
	}
	ssize_t n = recv(fd, buf + have, MAX_HEAD, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(fd);
		return;
	}
	have += n;
	char *at = buf, *end;
	while ((end = memmem(at, have - (at - buf), "\r\n\r\n", 4))) {
		char *line = memchr(at, '\r', end + 1 - at);
		int large = memmem(at, line - at, "/big/", 5) != NULL;
		if (send_all(fd, large ? big : small, large ? big_len : small_len) < 0) {
			drop(fd);
			return;
		}
		at = end + 4;
	}
	int rest = have - (at - buf);
	if (rest > MAX_HEAD) {
		drop(fd);
	} else if (rest > 0) {
		if (!kept && !(kept = partials[fd] = malloc(sizeof *kept)))
			exit(1);
		memcpy(kept->buf, at, rest);
		kept->len = rest;
	} else if (kept) {
		free(kept);
		partials[fd] = NULL;
	}
}

static void welcome(int ep, int listener) {
	int fd, one = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
		if (fd >= MAX_FD || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	}
}

static int listen_on(int port) {
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 4096) < 0)
		return -1;
	return fd;
}

int main(int argc, char **argv) {
	int listener = listen_on(argc == 2 ? atoi(argv[1]) : 0), ep = epoll_create1(EPOLL_CLOEXEC);
	if (argc != 2 || listener < 0 || ep < 0) {
		perror("usage: upstream PORT");
		return 1;
	}
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	small_len = reply(small, SMALL);
	big_len = reply(big, BIG);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener}, events[MAX_EVENTS];
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, events, MAX_EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				welcome(ep, listener);
			else
				serve(events[i].data.fd);
		}
	}
}
