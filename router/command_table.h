/* Every command, once: COMMAND's replies, the look-up and the check of docs/commands.md come from
 * here.
 *
 * X(name, arity, flags, first key, last key, step, handler, group, since, summary)
 * arity: arguments with the name itself; negative: at least so many. Keys: positions of the first
 * and the last (negative: from the end) and the distance between two; 0 0 0 without keys.
 * flags: letters of COMMAND_FLAGS. Subcommands, with their own arity, follow below.
 */
#ifndef ROUTER_COMMAND_TABLE_H
#define ROUTER_COMMAND_TABLE_H

/* X(letter, name in COMMAND INFO) */
#define COMMAND_FLAGS(X)                                                                           \
    X('w', "write")                                                                                \
    X('r', "readonly")                                                                             \
    X('m', "denyoom")                                                                              \
    X('F', "fast")                                                                                 \
    X('a', "no_auth")                                                                              \
    X('l', "loading")                                                                              \
    X('t', "stale")

#define COMMANDS(X)                                                                                \
    X(append, 3, "wmF", 1, 1, 1, string_append, "string", "2.0.0",                                 \
      "Appends a string to the value of a key. Creates the key if it doesn't exist.")              \
    X(auth, -2, "altF", 0, 0, 0, connection_auth, "connection", "1.0.0",                           \
      "Authenticates the connection.")                                                             \
    X(client, -2, "lt", 0, 0, 0, connection_client, "connection", "2.4.0",                         \
      "Names and describes connections.")                                                          \
    X(cluster, -2, "t", 0, 0, 0, server_cluster, "cluster", "3.0.0",                               \
      "Answers that this is not a Redis Cluster.")                                                 \
    X(command, -1, "lt", 0, 0, 0, server_command, "server", "2.8.13",                              \
      "Returns detailed information about all commands.")                                          \
    X(config, -2, "lt", 0, 0, 0, server_config, "server", "2.0.0",                                 \
      "Returns the effective values of configuration parameters.")                                 \
    X(dbsize, 1, "rF", 0, 0, 0, server_dbsize, "server", "1.0.0",                                  \
      "Returns the number of keys in the cluster.")                                                \
    X(decr, 2, "wmF", 1, 1, 1, string_decr, "string", "1.0.0",                                     \
      "Decrements the integer value of a key by one.")                                             \
    X(decrby, 3, "wmF", 1, 1, 1, string_decrby, "string", "1.0.0",                                 \
      "Decrements a number from the integer value of a key.")                                      \
    X(del, -2, "w", 1, -1, 1, string_del, "generic", "1.0.0", "Deletes one or more keys.")         \
    X(echo, 2, "ltF", 0, 0, 0, connection_echo, "connection", "1.0.0",                             \
      "Returns the given string.")                                                                 \
    X(exists, -2, "rF", 1, -1, 1, string_exists, "generic", "1.0.0",                               \
      "Determines whether one or more keys exist.")                                                \
    X(expire, -3, "wF", 1, 1, 1, expiry_expire, "generic", "1.0.0",                                \
      "Sets the expiration time of a key in seconds.")                                             \
    X(expireat, -3, "wF", 1, 1, 1, expiry_expireat, "generic", "1.2.0",                            \
      "Sets the expiration time of a key to a Unix timestamp.")                                    \
    X(expiretime, 2, "rF", 1, 1, 1, expiry_expiretime, "generic", "7.0.0",                         \
      "Returns the expiration time of a key as a Unix timestamp.")                                 \
    X(get, 2, "rF", 1, 1, 1, string_get, "string", "1.0.0", "Returns the string value of a key.")  \
    X(getdel, 2, "wF", 1, 1, 1, string_getdel, "string", "6.2.0",                                  \
      "Returns the string value of a key after deleting the key.")                                 \
    X(getex, -2, "wF", 1, 1, 1, expiry_getex, "string", "6.2.0",                                   \
      "Returns the string value of a key after setting its expiration time.")                      \
    X(getset, 3, "wmF", 1, 1, 1, string_getset, "string", "1.0.0",                                 \
      "Returns the previous string value of a key after setting it to a new value.")               \
    X(hello, -1, "altF", 0, 0, 0, connection_hello, "connection", "6.0.0",                         \
      "Handshakes with the server.")                                                               \
    X(incr, 2, "wmF", 1, 1, 1, string_incr, "string", "1.0.0",                                     \
      "Increments the integer value of a key by one.")                                             \
    X(incrby, 3, "wmF", 1, 1, 1, string_incrby, "string", "1.0.0",                                 \
      "Increments the integer value of a key by a number.")                                        \
    X(info, -1, "lt", 0, 0, 0, server_info, "server", "1.0.0",                                     \
      "Returns information and statistics about the server.")                                      \
    X(latency, -2, "lt", 0, 0, 0, server_latency, "server", "2.8.13",                              \
      "Returns latency events: there are none.")                                                   \
    X(mget, -2, "rF", 1, -1, 1, string_mget, "string", "1.0.0",                                    \
      "Returns the string values of one or more keys.")                                            \
    X(module, -2, "lt", 0, 0, 0, server_module, "server", "4.0.0",                                 \
      "Returns loaded modules: there are none.")                                                   \
    X(mset, -3, "wm", 1, -1, 2, string_mset, "string", "1.0.1",                                    \
      "Sets the string values of one or more keys, at once within a partition.")                   \
    X(persist, 2, "wF", 1, 1, 1, expiry_persist, "generic", "2.2.0",                               \
      "Removes the expiration time of a key.")                                                     \
    X(pexpire, -3, "wF", 1, 1, 1, expiry_pexpire, "generic", "2.6.0",                              \
      "Sets the expiration time of a key in milliseconds.")                                        \
    X(pexpireat, -3, "wF", 1, 1, 1, expiry_pexpireat, "generic", "2.6.0",                          \
      "Sets the expiration time of a key to a Unix milliseconds timestamp.")                       \
    X(pexpiretime, 2, "rF", 1, 1, 1, expiry_pexpiretime, "generic", "7.0.0",                       \
      "Returns the expiration time of a key as a Unix milliseconds timestamp.")                    \
    X(ping, -1, "ltF", 0, 0, 0, connection_ping, "connection", "1.0.0",                            \
      "Returns the server's liveliness response.")                                                 \
    X(psetex, 4, "wm", 1, 1, 1, expiry_psetex, "string", "2.6.0",                                  \
      "Sets both string value and expiration time in milliseconds of a key.")                      \
    X(pttl, 2, "rF", 1, 1, 1, expiry_pttl, "generic", "2.6.0",                                     \
      "Returns the time until a key expires in milliseconds.")                                     \
    X(quit, -1, "altF", 0, 0, 0, connection_quit, "connection", "1.0.0", "Closes the connection.") \
    X(reset, 1, "altF", 0, 0, 0, connection_reset, "connection", "6.2.0",                          \
      "Resets the connection.")                                                                    \
    X(scan, -2, "r", 0, 0, 0, scan_scan, "generic", "2.8.0",                                       \
      "Iterates over the names of the keys in the cluster.")                                       \
    X(select, 2, "ltF", 0, 0, 0, connection_select, "connection", "1.0.0",                         \
      "Selects database 0, the only one.")                                                         \
    X(set, -3, "wm", 1, 1, 1, expiry_set, "string", "1.0.0",                                       \
      "Sets the string value of a key, ignoring its type. Creates the key if it doesn't exist.")   \
    X(setex, 4, "wm", 1, 1, 1, expiry_setex, "string", "2.0.0",                                    \
      "Sets the string value and expiration time of a key.")                                       \
    X(setnx, 3, "wmF", 1, 1, 1, string_setnx, "string", "1.0.0",                                   \
      "Set the string value of a key only when the key doesn't exist.")                            \
    X(slowlog, -2, "lt", 0, 0, 0, server_slowlog, "server", "2.2.12",                              \
      "Returns the slow log: it is empty.")                                                        \
    X(strlen, 2, "rF", 1, 1, 1, string_strlen, "string", "2.2.0",                                  \
      "Returns the length of a string value.")                                                     \
    X(time, 1, "ltF", 0, 0, 0, server_time, "server", "2.6.0", "Returns the server time.")         \
    X(touch, -2, "rF", 1, -1, 1, string_exists, "generic", "3.2.1",                                \
      "Returns the number of existing keys out of those specified.")                               \
    X(ttl, 2, "rF", 1, 1, 1, expiry_ttl, "generic", "1.0.0",                                       \
      "Returns the time until a key expires in seconds.")                                          \
    X(unlink, -2, "wF", 1, -1, 1, string_del, "generic", "4.0.0",                                  \
      "Deletes one or more keys, as DEL does.")

/* X(command, "subcommand", arity, handler) */
#define COMMAND_SUBCOMMANDS(X)                                                                     \
    X(client, "getname", 2, connection_client_getname)                                             \
    X(client, "id", 2, connection_client_id)                                                       \
    X(client, "info", 2, connection_client_info)                                                   \
    X(client, "list", -2, connection_client_list)                                                  \
    X(client, "no-evict", 3, connection_client_no_evict)                                           \
    X(client, "setinfo", 4, connection_client_setinfo)                                             \
    X(client, "setname", 3, connection_client_setname)                                             \
    X(command, "count", 2, server_command_count)                                                   \
    X(command, "docs", -2, server_command_docs)                                                    \
    X(command, "getkeys", -3, server_command_getkeys)                                              \
    X(command, "info", -2, server_command_info)                                                    \
    X(command, "list", -2, server_command_list)                                                    \
    X(config, "get", -3, server_config_get)                                                        \
    X(config, "resetstat", 2, server_config_resetstat)                                             \
    X(config, "set", -4, server_config_set)                                                        \
    X(latency, "histogram", -2, server_latency_histogram)                                          \
    X(latency, "latest", 2, server_latency_latest)                                                 \
    X(latency, "reset", -2, server_latency_reset)                                                  \
    X(module, "list", 2, server_module_list)                                                       \
    X(slowlog, "get", -2, server_slowlog_get)                                                      \
    X(slowlog, "len", 2, server_slowlog_len)                                                       \
    X(slowlog, "reset", 2, server_slowlog_reset)

#endif
