// AF_VSOCK for Node: makes file descriptors and tells their addresses; libuv does the I/O. Also flock(2), which Node lacks.
// Every function throws an Error whose `code` is the errno's name. Needs no symbol newer than glibc 2.28 and none of Node but Node-API 8.
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// The name of an errno that these calls give; glibc's own function is newer than 2.28.
static const char *errno_name(int error) {
  static const struct { int error; const char *name; } NAMES[] = {
    {EACCES, "EACCES"},           {EADDRINUSE, "EADDRINUSE"},     {EADDRNOTAVAIL, "EADDRNOTAVAIL"}, {EAFNOSUPPORT, "EAFNOSUPPORT"},
    {EBADF, "EBADF"},             {ECONNREFUSED, "ECONNREFUSED"}, {ECONNRESET, "ECONNRESET"},       {EHOSTUNREACH, "EHOSTUNREACH"},
    {EINTR, "EINTR"},             {EINVAL, "EINVAL"},             {EMFILE, "EMFILE"},               {ENETUNREACH, "ENETUNREACH"},
    {ENFILE, "ENFILE"},           {ENODEV, "ENODEV"},             {ENOENT, "ENOENT"},               {ENOMEM, "ENOMEM"},
    {ENOTCONN, "ENOTCONN"},       {ENOTSOCK, "ENOTSOCK"},         {ENXIO, "ENXIO"},                 {EPERM, "EPERM"},
    {EPROTONOSUPPORT, "EPROTONOSUPPORT"}, {ETIMEDOUT, "ETIMEDOUT"}, {EWOULDBLOCK, "EWOULDBLOCK"},   {ENOTTY, "ENOTTY"},
  };
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (NAMES[i].error == error) return NAMES[i].name;
  return "EIO";
}

static napi_value make_error(napi_env env, const char *call, int error) {
  char text[128];
  napi_value code, message, value;
  snprintf(text, sizeof text, "%s: %s", call, strerror(error));
  napi_create_string_utf8(env, errno_name(error), NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message);
  napi_create_error(env, code, message, &value);
  return value;
}

static napi_value fail(napi_env env, const char *call, int error) {
  napi_throw(env, make_error(env, call, error));
  return NULL;
}

// Reads `count` numbers from the arguments; false, with a TypeError thrown, when one is no number.
static int read_numbers(napi_env env, napi_callback_info info, size_t count, uint32_t *numbers, napi_value *rest) {
  napi_value args[8];
  size_t given = 8;
  napi_get_cb_info(env, info, &given, args, NULL, NULL);
  for (size_t i = 0; i < count; i++) {
    if (i >= given || napi_get_value_uint32(env, args[i], &numbers[i]) != napi_ok) {
      napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "expected unsigned 32-bit numbers");
      return 0;
    }
  }
  if (rest != NULL) *rest = count < given ? args[count] : NULL;
  return 1;
}

static napi_value number(napi_env env, uint32_t value) {
  napi_value result;
  napi_create_uint32(env, value, &result);
  return result;
}

// listen(cid, port, backlog): fd
static napi_value vsock_listen(napi_env env, napi_callback_info info) {
  uint32_t n[3];
  if (!read_numbers(env, info, 3, n, NULL)) return NULL;
  int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(env, "socket", errno);
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = n[0], .svm_port = n[1]};
  const char *call = "bind";
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) {
    call = "listen";
    if (listen(fd, (int)n[2]) == 0) return number(env, (uint32_t)fd);
  }
  int error = errno;
  close(fd);
  return fail(env, call, error);
}

// peerName(fd): [cid, port]
static napi_value vsock_peer_name(napi_env env, napi_callback_info info) {
  uint32_t fd;
  if (!read_numbers(env, info, 1, &fd, NULL)) return NULL;
  struct sockaddr_vm address;
  socklen_t length = sizeof address;
  memset(&address, 0, sizeof address);
  if (getpeername((int)fd, (struct sockaddr *)&address, &length) < 0) return fail(env, "getpeername", errno);
  if (address.svm_family != AF_VSOCK) return fail(env, "getpeername", EAFNOSUPPORT);
  napi_value pair;
  napi_create_array_with_length(env, 2, &pair);
  napi_set_element(env, pair, 0, number(env, address.svm_cid));
  napi_set_element(env, pair, 1, number(env, address.svm_port));
  return pair;
}

// localCid(): this machine's own CID, by the device
static napi_value vsock_local_cid(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(env, "open /dev/vsock", errno);
  uint32_t cid;
  int failed = ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0;
  int error = errno;
  close(fd);
  return failed ? fail(env, "ioctl /dev/vsock", error) : number(env, cid);
}

typedef struct {
  uint32_t cid, port, timeout_ms;
  int fd, error;
  const char *call;
  napi_async_work work;
  napi_ref callback;
} connecting;

// A source port below 1024 needs CAP_NET_BIND_SERVICE and so proves it to the host; without the capability any port will do.
static void bind_privileged(int fd) {
  for (uint32_t port = 1023; port >= 512; port--) {
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != EADDRINUSE) return;
  }
}

static void connect_work(napi_env env, void *data) {
  (void)env;
  connecting *c = data;
  c->call = "socket";
  c->fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) {
    c->error = errno;
    return;
  }
  bind_privileged(c->fd);
  struct timeval timeout = {.tv_sec = c->timeout_ms / 1000, .tv_usec = (c->timeout_ms % 1000) * 1000};
  setsockopt(c->fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &timeout, sizeof timeout);
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = c->cid, .svm_port = c->port};
  c->call = "connect";
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0) return;
  c->error = errno;
  close(c->fd);
  c->fd = -1;
}

static void connect_done(napi_env env, napi_status status, void *data) {
  (void)status;
  connecting *c = data;
  napi_value callback, global, args[2];
  napi_get_reference_value(env, c->callback, &callback);
  napi_get_global(env, &global);
  napi_get_null(env, &args[0]);
  napi_get_null(env, &args[1]);
  if (c->error != 0) args[0] = make_error(env, c->call, c->error);
  else args[1] = number(env, (uint32_t)c->fd);
  napi_delete_reference(env, c->callback);
  napi_delete_async_work(env, c->work);
  free(c);
  napi_call_function(env, global, callback, 2, args, NULL);
}

// connect(cid, port, timeoutMs, callback(error, fd)): on libuv's pool, so that the loop never waits
static napi_value vsock_connect(napi_env env, napi_callback_info info) {
  uint32_t n[3];
  napi_value callback = NULL, name;
  if (!read_numbers(env, info, 3, n, &callback)) return NULL;
  napi_valuetype type = napi_undefined;
  if (callback != NULL) napi_typeof(env, callback, &type);
  if (type != napi_function) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "expected a callback");
    return NULL;
  }
  connecting *c = calloc(1, sizeof *c);
  if (c == NULL) return fail(env, "connect", ENOMEM);
  *c = (connecting){.cid = n[0], .port = n[1], .timeout_ms = n[2], .fd = -1};
  napi_create_reference(env, callback, 1, &c->callback);
  napi_create_string_utf8(env, "vsock.connect", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, connect_work, connect_done, c, &c->work);
  napi_queue_async_work(env, c->work);
  return NULL;
}

// lock(fd): whether the exclusive lock was free and is now held, until the descriptor is closed
static napi_value file_lock(napi_env env, napi_callback_info info) {
  uint32_t fd;
  if (!read_numbers(env, info, 1, &fd, NULL)) return NULL;
  int held = flock((int)fd, LOCK_EX | LOCK_NB) == 0;
  if (!held && errno != EWOULDBLOCK) return fail(env, "flock", errno);
  napi_value result;
  napi_get_boolean(env, held, &result);
  return result;
}

NAPI_MODULE_INIT() {
  static const struct { const char *name; napi_callback call; } FUNCTIONS[] = {
    {"listen", vsock_listen},      {"connect", vsock_connect}, {"peerName", vsock_peer_name},
    {"localCid", vsock_local_cid}, {"lock", file_lock},
  };
  for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
    napi_value function;
    napi_create_function(env, FUNCTIONS[i].name, NAPI_AUTO_LENGTH, FUNCTIONS[i].call, NULL, &function);
    napi_set_named_property(env, exports, FUNCTIONS[i].name, function);
  }
  return exports;
}
