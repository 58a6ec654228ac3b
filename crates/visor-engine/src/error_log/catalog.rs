//! The catalog of httpd's messages in its error log, by level.
//!
//! Pure data, taken from the sources of httpd 2.4.59: number, module, level, wording, and whether a
//! message is about a request, a connection or the server, are httpd's. Debug and trace messages
//! have the location in those sources. Placeholders in braces have the same value within one line:
//!
//! | in braces   | what it is                                        | such as                      |
//! |-------------|---------------------------------------------------|------------------------------|
//! | `{path}`    | a file below the document root                    | `/var/www/html/images/a.png` |
//! | `{uri}`     | the path of a request, without its query          | `/images/a.png`              |
//! | `{host}`    | the name of a virtual host                        | `shop.example`               |
//! | `{user}`    | the name of a user                                | `Frank`                      |
//! | `{pid}`     | the number of a process                           | `4711`                       |
//! | `{number}`  | a number from 1 to 999                            | `42`                         |
//! | `{backend}` | the address and port of a server behind the proxy | `10.0.3.12:8080`             |
//! | `{server}`  | what the server calls itself                      | `Apache/2.4.59 (Debian)`     |
//! | `{script}`  | the file of a CGI script                          | `/usr/lib/cgi-bin/stock.cgi` |
//!
//! A `{path}` is the document root and the `{uri}` of the same line, and both are without percent
//! encoding, as httpd has decoded them. A message is not escaped: that is up to the format.

use visor_api::source::Mpm::{self, Event, Prefork, Worker};
use visor_api::source::StreamKind::{
    self, Alert, Crit, Debug, Emerg, Error, Info, Notice, Trace1, Trace2, Trace3, Trace4, Trace5,
    Trace6, Trace7, Trace8, Warn,
};

/// A message of httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CatalogMessage {
    /// The level at which httpd writes it.
    pub level: StreamKind,
    /// The weight, in proportion to the sum of the level's weights.
    pub weight: u32,
    /// The module that logs it, by the name in the log.
    pub module: &'static str,
    /// The file and the line that log it. Only known for debug and trace, where they are shown.
    pub source: Option<(&'static str, u32)>,
    /// The system error before it: its number, and its text on Linux.
    pub errno: Option<(i32, &'static str)>,
    /// Whether it has a client.
    pub client: bool,
    /// Whether it is about a request, so that a referer may follow.
    pub referer: bool,
    /// The only MPM that logs it; `None` for all.
    pub mpm: Option<Mpm>,
    /// The message, with its number if it has one, and with placeholders.
    pub text: &'static str,
}

/// A message about the server.
const fn server(
    level: StreamKind,
    weight: u32,
    module: &'static str,
    text: &'static str,
) -> CatalogMessage {
    let (client, referer) = (false, false);
    CatalogMessage {
        level,
        weight,
        module,
        source: None,
        errno: None,
        client,
        referer,
        mpm: None,
        text,
    }
}

/// A message about a connection.
const fn connection(
    level: StreamKind,
    weight: u32,
    module: &'static str,
    text: &'static str,
) -> CatalogMessage {
    CatalogMessage { client: true, ..server(level, weight, module, text) }
}

/// A message about a request.
const fn request(
    level: StreamKind,
    weight: u32,
    module: &'static str,
    text: &'static str,
) -> CatalogMessage {
    CatalogMessage { client: true, referer: true, ..server(level, weight, module, text) }
}

impl CatalogMessage {
    const fn errno(self, number: i32, text: &'static str) -> Self {
        Self { errno: Some((number, text)), ..self }
    }

    const fn at(self, file: &'static str, line: u32) -> Self {
        Self { source: Some((file, line)), ..self }
    }

    const fn only(self, mpm: Mpm) -> Self {
        Self { mpm: Some(mpm), ..self }
    }
}

/// The messages.
#[rustfmt::skip]
pub(super) const CATALOG: &[CatalogMessage] = &[
    server(Emerg, 4, "core", "AH00023: Couldn't create the ssl-cache mutex (file /var/lock/apache2/ssl-cache.{pid})").errno(28, "No space left on device"),
    server(Emerg, 3, "core", "AH00024: Couldn't set permissions on the rewrite-map mutex; check User and Group directives").errno(1, "Operation not permitted"),
    server(Emerg, 2, "core", "AH02177: apr_socket_accept: giving up.").errno(100, "Network is down"),
    server(Emerg, 6, "ssl", "AH02572: Failed to configure at least one certificate and key for {host}:443"),
    server(Emerg, 4, "ssl", "AH02565: Certificate and private key {host}:443:0 from /etc/ssl/certs/shop.pem and /etc/ssl/private/shop.key do not match"),
    server(Emerg, 3, "ssl", "AH02312: Fatal error initialising mod_ssl, exiting."),
    server(Emerg, 2, "mpm_event", "AH00479: Couldn't initialize signal thread").errno(11, "Resource temporarily unavailable").only(Event),
    server(Emerg, 3, "mpm_prefork", "AH00144: couldn't grab the accept mutex").errno(43, "Identifier removed").only(Prefork),

    request(Alert, 6, "core", "/srv/shop/blog/.htaccess: Invalid command 'RewriteEngin', perhaps misspelled or defined by a module not included in the server configuration"),
    request(Alert, 4, "core", "/srv/shop/blog/.htaccess: Option FollowSymLinks not allowed here"),
    request(Alert, 3, "core", "/srv/shop/files/.htaccess: RewriteEngine not allowed here"),
    server(Alert, 4, "core", "AH00050: Child {pid} returned a Fatal error... Apache is exiting!"),
    server(Alert, 2, "unixd", "AH02156: setgid: unable to set group id to Group {number}").errno(1, "Operation not permitted"),
    server(Alert, 2, "unixd", "AH02162: setuid: unable to change to uid: {number}").errno(1, "Operation not permitted"),
    server(Alert, 4, "mpm_event", "AH00480: ap_thread_create: unable to create worker thread").errno(11, "Resource temporarily unavailable").only(Event),
    server(Alert, 3, "mpm_event", "AH02324: A resource shortage or other unrecoverable failure was encountered before any child process initialized successfully... httpd is exiting!").only(Event),
    server(Alert, 4, "mpm_worker", "AH00282: ap_thread_create: unable to create worker thread").errno(11, "Resource temporarily unavailable").only(Worker),
    server(Alert, 3, "mpm_worker", "AH02325: A resource shortage or other unrecoverable failure was encountered before any child process initialized successfully... httpd is exiting!").only(Worker),

    request(Crit, 8, "core", "AH00529: /srv/shop/private/.htaccess pcfg_openfile: unable to check htaccess file, ensure it is readable and that '/srv/shop/private/' is executable").errno(13, "Permission denied"),
    request(Crit, 4, "core", "AH00025: configuration error:  couldn't check user: {uri}"),
    server(Crit, 3, "core", "AH00004: Unable to create or access scoreboard (anonymous shared memory failure)").errno(12, "Cannot allocate memory"),
    server(Crit, 3, "cgid", "AH01238: cgid daemon failed to initialize"),
    server(Crit, 2, "proxy", "AH02479: could not init proxy_mutex in child").errno(13, "Permission denied"),
    server(Crit, 2, "rewrite", "AH00666: mod_rewrite: could not init rewrite_mapr_lock_acquire in child").errno(13, "Permission denied"),
    server(Crit, 2, "mpm_event", "AH00477: apr_thread_join: unable to join worker thread {number}").errno(3, "No such process").only(Event),
    server(Crit, 2, "mpm_worker", "AH00278: apr_thread_join: unable to join worker thread {number}").errno(3, "No such process").only(Worker),

    request(Error, 60, "authz_core", "AH01630: client denied by server configuration: {path}"),
    request(Error, 12, "authz_core", "AH01630: client denied by server configuration: proxy:http://{backend}/api/v1/orders"),
    request(Error, 8, "authz_core", "AH01631: user {user}: authorization failure for \"{uri}\": "),
    request(Error, 10, "access_compat", "AH01797: client denied by server configuration: {path}"),
    request(Error, 14, "autoindex", "AH01276: Cannot serve directory /srv/shop/images/: No matching DirectoryIndex (index.html,index.cgi,index.pl,index.php,index.xhtml,index.htm) found, and server-generated directory index forbidden by Options directive"),
    request(Error, 18, "auth_basic", "AH01617: user {user}: authentication failure for \"{uri}\": Password Mismatch"),
    request(Error, 14, "auth_basic", "AH01618: user {user} not found: {uri}"),
    request(Error, 20, "core", "AH10244: invalid URI path (/cgi-bin/.%2e/.%2e/.%2e/.%2e/.%2e/.%2e/bin/sh)"),
    request(Error, 8, "core", "AH00035: access to {uri} denied (filesystem path '{path}') because search permissions are missing on a component of the path").errno(13, "Permission denied"),
    request(Error, 6, "core", "AH00132: file permissions deny server access: {path}").errno(13, "Permission denied"),
    request(Error, 4, "core", "AH00037: Symbolic link not allowed or link target not accessible: {path}"),
    request(Error, 4, "core", "AH00036: access to {uri} failed (filesystem path '{path}')").errno(36, "File name too long"),
    request(Error, 4, "core", "AH00124: Request exceeded the limit of 10 internal redirects due to probable configuration error. Use 'LimitInternalRecursion' to increase the limit if necessary. Use 'LogLevel debug' to get a backtrace."),
    request(Error, 3, "core", "AH00131: This resource does not accept the POST method."),
    server(Error, 3, "core", "AH00046: child process {pid} still did not exit, sending a SIGKILL"),
    server(Error, 24, "proxy", "AH00957: http: attempt to connect to {backend} ({backend}) failed").errno(111, "Connection refused"),
    server(Error, 6, "proxy", "AH00957: http: attempt to connect to {backend} ({backend}) failed").errno(110, "Connection timed out"),
    server(Error, 12, "proxy", "AH00959: ap_proxy_connect_backend disabling worker for ({backend}) for 60s"),
    server(Error, 6, "proxy", "AH02454: FCGI: attempt to connect to Unix domain socket /run/php/php8.2-fpm.sock (localhost:8000) failed").errno(2, "No such file or directory"),
    request(Error, 14, "proxy", "AH00898: Error reading from remote server returned by {uri}"),
    request(Error, 16, "proxy_http", "AH01114: HTTP: failed to make connection to backend: 10.0.3.12"),
    request(Error, 8, "proxy_http", "AH01102: error reading status line from remote server {backend}").errno(104, "Connection reset by peer"),
    request(Error, 6, "proxy_http", "AH01102: error reading status line from remote server {backend}").errno(70007, "The timeout specified has expired"),
    request(Error, 14, "proxy_fcgi", "AH01071: Got error 'Primary script unknown'"),
    request(Error, 12, "proxy_fcgi", "AH01071: Got error 'PHP message: PHP Warning:  Undefined array key \"colour\" in /srv/shop/app/product.php on line {number}'"),
    request(Error, 5, "proxy_fcgi", "AH01071: Got error 'PHP message: PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /srv/shop/app/image.php on line {number}'"),
    request(Error, 5, "proxy_fcgi", "AH01075: Error dispatching request to : (polling)").errno(70007, "The timeout specified has expired"),
    request(Error, 4, "proxy_fcgi", "AH01067: Failed to read FastCGI header"),
    request(Error, 4, "proxy_fcgi", "AH01079: failed to make connection to backend: localhost"),
    request(Error, 10, "cgid", "AH01264: stderr from {script}: script not found or unable to stat"),
    request(Error, 8, "cgid", "AH01215: stderr from {script}: Use of uninitialized value $item in concatenation (.) or string at {script} line {number}."),
    request(Error, 4, "negotiation", "AH00687: Negotiation: discovered file(s) matching request: {path} (None could be negotiated)."),
    request(Error, 3, "rewrite", "AH00670: Options FollowSymLinks and SymLinksIfOwnerMatch are both off, so the RewriteRule directive is also forbidden due to its similar ability to circumvent directory restrictions : {path}"),
    request(Error, 6, "ssl", "AH02032: Hostname {host} provided via SNI and hostname legacy.shop.example provided via HTTP have no compatible SSL setup"),
    connection(Error, 4, "ssl", "AH02039: Certificate Verification: Error (10): certificate has expired"),
    server(Error, 5, "mpm_event", "AH00484: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting").only(Event),
    server(Error, 5, "mpm_worker", "AH00286: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting").only(Worker),
    server(Error, 5, "mpm_prefork", "AH00161: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting").only(Prefork),

    server(Warn, 20, "ssl", "AH01909: {host}:443:0 server certificate does NOT include an ID which matches the server name"),
    server(Warn, 14, "ssl", "AH01906: {host}:443:0 server certificate is a CA certificate (BasicConstraints: CA == TRUE !?)"),
    server(Warn, 5, "ssl", "AH10085: Init: {host}:443 will respond with '503 Service Unavailable' for now. There are no SSL certificates configured and no other module contributed any."),
    server(Warn, 3, "ssl", "AH01916: Init: ({host}:443) You configured HTTP(80) on the standard HTTPS(443) port!"),
    server(Warn, 3, "ssl", "AH01873: Init: Session Cache is not configured [hint: SSLSessionCache]"),
    request(Warn, 3, "ssl", "AH02227: Failed to set r->user to 'SSL_CLIENT_S_DN_CN'"),
    server(Warn, 24, "core", "AH00045: child process {pid} still did not exit, sending a SIGTERM"),
    server(Warn, 8, "core", "AH00098: pid file /var/run/apache2/apache2.pid overwritten -- Unclean shutdown of previous Apache run?"),
    server(Warn, 4, "core", "AH00117: Ignoring deprecated use of DefaultType in line {number} of /etc/apache2/conf-enabled/legacy.conf."),
    server(Warn, 3, "core", "AH00114: Useless use of AllowOverride in line {number} of /etc/apache2/sites-enabled/shop.conf."),
    server(Warn, 3, "core", "AH00054: get socket to connect to listener").errno(24, "Too many open files"),
    request(Warn, 5, "core", "AH00523: handler \"application/x-httpd-php\" not found for: {path}"),
    server(Warn, 6, "alias", "AH00671: The Alias directive in /etc/apache2/conf-enabled/shop.conf at line {number} will probably never match because it overlaps an earlier Alias."),
    request(Warn, 10, "proxy", "AH01144: No protocol handler was valid for the URL {uri} (scheme 'fcgi'). If you are using a DSO version of mod_proxy, make sure the proxy submodules are included in the configuration using LoadModule."),
    server(Warn, 6, "proxy", "AH01146: Ignoring parameter 'timeout=30' for worker 'http://{backend}/' because of worker sharing"),
    request(Warn, 8, "proxy_http", "AH01100: Ignoring bogus HTTP header returned by {uri} (GET)"),
    request(Warn, 4, "proxy_http", "AH01099: No HTTP headers returned by {uri} (GET)"),
    request(Warn, 4, "deflate", "AH01387: Zlib: Invalid header"),
    request(Warn, 5, "log_config", "AH00646: Error writing to /var/log/apache2/access.log").errno(28, "No space left on device"),
    request(Warn, 3, "auth_digest", "AH01771: cannot check nonce count without shared memory"),
    server(Warn, 3, "mpm_event", "AH00488: long lost child came home! (pid {pid})").only(Event),
    server(Warn, 3, "mpm_worker", "AH00291: long lost child came home! (pid {pid})").only(Worker),
    server(Warn, 3, "mpm_prefork", "AH00167: long lost child came home! (pid {pid})").only(Prefork),

    server(Notice, 20, "mpm_event", "AH00489: {server} configured -- resuming normal operations").only(Event),
    server(Notice, 6, "mpm_event", "AH00491: caught SIGTERM, shutting down").only(Event),
    server(Notice, 3, "mpm_event", "AH00492: caught SIGWINCH, shutting down gracefully").only(Event),
    server(Notice, 14, "mpm_event", "AH00493: SIGUSR1 received.  Doing graceful restart").only(Event),
    server(Notice, 3, "mpm_event", "AH00494: SIGHUP received.  Attempting to restart").only(Event),
    server(Notice, 20, "mpm_worker", "AH00292: {server} configured -- resuming normal operations").only(Worker),
    server(Notice, 6, "mpm_worker", "AH00295: caught SIGTERM, shutting down").only(Worker),
    server(Notice, 3, "mpm_worker", "AH00296: caught SIGWINCH, shutting down gracefully").only(Worker),
    server(Notice, 14, "mpm_worker", "AH00297: SIGUSR1 received.  Doing graceful restart").only(Worker),
    server(Notice, 3, "mpm_worker", "AH00298: SIGHUP received.  Attempting to restart").only(Worker),
    server(Notice, 20, "mpm_prefork", "AH00163: {server} configured -- resuming normal operations").only(Prefork),
    server(Notice, 6, "mpm_prefork", "AH00169: caught SIGTERM, shutting down").only(Prefork),
    server(Notice, 3, "mpm_prefork", "AH00170: caught SIGWINCH, shutting down gracefully").only(Prefork),
    server(Notice, 14, "mpm_prefork", "AH00171: Graceful restart requested, doing restart").only(Prefork),
    server(Notice, 3, "mpm_prefork", "AH00173: SIGHUP received.  Attempting to restart").only(Prefork),
    server(Notice, 20, "core", "AH00094: Command line: '/usr/sbin/apache2'"),
    server(Notice, 12, "core", "AH00052: child pid {pid} exit signal Segmentation fault (11)"),
    server(Notice, 3, "core", "AH00052: child pid {pid} exit signal Abort (6)"),
    server(Notice, 2, "core", "AH00052: child pid {pid} exit signal Bus error (7)"),
    server(Notice, 4, "core", "AH00051: child pid {pid} exit signal Segmentation fault (11), possible coredump in /etc/apache2"),
    server(Notice, 3, "suexec", "AH01232: suEXEC mechanism enabled (wrapper: /usr/lib/apache2/suexec)"),
    server(Notice, 3, "remoteip", "AH03492: RemoteIPProxyProtocol: enabled on 0.0.0.0:80"),
    server(Notice, 2, "ssl", "AH01884: OpenSSL has FIPS mode enabled"),
    server(Notice, 2, "proxy_html", "AH01425: I18n support in mod_proxy_html requires mod_xml2enc. Without it, non-ASCII characters in proxied pages are likely to display incorrectly."),
    server(Notice, 2, "lbmethod_heartbeat", "AH02282: No slotmem from mod_heartmonitor"),
    request(Notice, 3, "proxy_wstunnel", "AH02447: error on backconn"),

    request(Info, 60, "core", "AH00128: File does not exist: {path}"),
    request(Info, 6, "core", "AH00129: Attempt to serve directory: /srv/shop/images/"),
    request(Info, 6, "core", "AH00130: File does not exist: /srv/shop/app/product.php/{number}"),
    request(Info, 4, "core", "AH00026: found %2f (encoded '/') in URI path (/products%2f17), returning 404"),
    request(Info, 4, "core", "AH00565: request failed: client's request-line exceeds LimitRequestLine (longer than 8190)"),
    request(Info, 4, "core", "AH00561: Request header exceeds LimitRequestFieldSize: Cookie"),
    request(Info, 2, "core", "AH00563: Number of request headers exceeds LimitRequestFields"),
    request(Info, 2, "core", "AH00570: client sent an unrecognized expectation value of Expect: 200-ok"),
    server(Info, 2, "core", "AH00096: removed PID file /var/run/apache2/apache2.pid (pid={pid})"),
    connection(Info, 20, "reqtimeout", "AH01382: Request header read timeout"),
    connection(Info, 6, "reqtimeout", "AH01382: Request body read timeout"),
    connection(Info, 5, "http", "AH01581: flushing data to the client").errno(32, "Broken pipe"),
    request(Info, 4, "http", "AH01588: Requested content-length of 20971520 is larger than the configured limit of 1048576"),
    connection(Info, 40, "ssl", "AH01964: Connection to child {number} established (server {host}:443)"),
    connection(Info, 12, "ssl", "AH02008: SSL library error 1 in handshake (server {host}:443)"),
    server(Info, 6, "ssl", "SSL Library Error: error:0A000418:SSL routines::tlsv1 alert unknown ca (SSL alert number 48)"),
    connection(Info, 8, "ssl", "AH01991: SSL input filter read failed.").errno(70014, "End of file found"),
    connection(Info, 4, "ssl", "AH01996: SSL handshake failed: HTTP spoken on HTTPS port; trying to send HTML error page"),
    request(Info, 3, "ssl", "AH02033: No hostname was provided via SNI for a name based virtual host"),
    server(Info, 3, "ssl", "AH01887: Init: Initializing (virtual) servers for SSL"),
    server(Info, 5, "ssl", "AH01914: Configuring server {host}:443 for SSL protocol"),
    server(Info, 5, "ssl", "AH02568: Certificate and private key {host}:443:0 configured from /etc/ssl/certs/shop.pem and /etc/ssl/private/shop.key"),
    server(Info, 2, "socache_shmcb", "AH00830: Shared memory socache initialised"),
    request(Info, 4, "authz_groupfile", "AH01666: Authorization of user {user} to access {uri} failed, reason: user doesn't appear in group file (/etc/apache2/groups)."),
    request(Info, 3, "proxy_http", "AH01115: HTTP: 100-Continue failed to {backend} ({backend})").errno(104, "Connection reset by peer"),
    server(Info, 3, "mpm_event", "AH00490: Server built: 2024-10-04T15:21:08").only(Event),
    server(Info, 3, "mpm_worker", "AH00293: Server built: 2024-10-04T15:21:08").only(Worker),
    server(Info, 3, "mpm_prefork", "AH00164: Server built: 2024-10-04T15:21:08").only(Prefork),
    server(Info, 5, "mpm_event", "AH00486: server seems busy, (you may need to increase StartServers, ThreadsPerChild or Min/MaxSpareThreads), spawning 8 children, there are around {number} idle threads, 12 active children, and 0 children that are shutting down").only(Event),
    server(Info, 5, "mpm_worker", "AH00289: server seems busy, (you may need to increase StartServers, ThreadsPerChild or Min/MaxSpareThreads), spawning 8 children, there are around {number} idle threads, and 12 total children").only(Worker),
    server(Info, 5, "mpm_prefork", "AH00162: server seems busy, (you may need to increase StartServers, or Min/MaxSpareServers), spawning 8 children, there are 0 idle, and {number} total children").only(Prefork),

    request(Debug, 30, "authz_core", "AH01626: authorization result of Require all granted: granted").at("mod_authz_core.c", 815),
    request(Debug, 24, "authz_core", "AH01626: authorization result of <RequireAny>: granted").at("mod_authz_core.c", 815),
    request(Debug, 6, "authz_core", "AH01626: authorization result of Require valid-user : denied (no authenticated user yet)").at("mod_authz_core.c", 815),
    request(Debug, 4, "authz_core", "AH01628: authorization result: granted (no directives)").at("mod_authz_core.c", 843),
    request(Debug, 14, "deflate", "AH01384: Zlib: Compressed 18734 to 4{number} : URL {uri}").at("mod_deflate.c", 909),
    request(Debug, 10, "proxy", "AH01143: Running scheme http handler (attempt 0)").at("mod_proxy.c", 1538),
    server(Debug, 10, "proxy", "AH00942: http: has acquired connection for ({backend})").at("proxy_util.c", 2684),
    server(Debug, 10, "proxy", "AH00943: http: has released connection for ({backend})").at("proxy_util.c", 2700),
    request(Debug, 10, "proxy", "AH00944: connecting http://{backend}/api/v1/session to {backend}").at("proxy_util.c", 3086),
    server(Debug, 6, "proxy", "AH02824: http: connection established with {backend} ({backend})").at("proxy_util.c", 3800),
    connection(Debug, 12, "ssl", "AH02041: Protocol: TLSv1.3, Cipher: TLS_AES_256_GCM_SHA384 (256/256 bits)").at("ssl_engine_kernel.c", 2254),
    connection(Debug, 10, "ssl", "AH02043: SSL virtual host for servername {host} found").at("ssl_engine_kernel.c", 2395),
    request(Debug, 10, "ssl", "AH02034: Initial (No.1) HTTPS request received for child {number} (server {host}:443)").at("ssl_engine_kernel.c", 415),
    request(Debug, 4, "core", "AH00566: request failed: malformed request line").at("protocol.c", 1449),
    request(Debug, 3, "core", "AH03445: HTTP Request Line; Invalid method token: 'G ET'").at("protocol.c", 907),
    server(Debug, 4, "mpm_event", "AH02471: start_threads: Using epoll (wakeable)").at("event.c", 2401).only(Event),

    request(Trace1, 10, "deflate", "Not compressing very small response of {number} bytes").at("mod_deflate.c", 614),
    request(Trace1, 6, "deflate", "Not compressing (no Accept-Encoding: gzip or q=0)").at("mod_deflate.c", 780),
    request(Trace1, 8, "proxy", "AH03464: URI path '/api/v1/session' matches proxy handler 'proxy:http://{backend}/api/v1/session'").at("mod_proxy.c", 1023),
    request(Trace1, 8, "proxy_http", "HTTP: serving URL http://{backend}/api/v1/session").at("mod_proxy_http.c", 1910),
    request(Trace1, 2, "http", "Sum of ranges larger than file, ignoring.").at("byterange_filter.c", 276),
    server(Trace1, 2, "mpm_event", "Stopping process due to MaxConnectionsPerChild").at("event.c", 1249).only(Event),

    request(Trace2, 10, "filter", "Content-Type condition for 'deflate' matched").at("mod_filter.c", 185),
    request(Trace2, 8, "filter", "Content-Type condition for 'deflate' did not match").at("mod_filter.c", 185),
    request(Trace2, 6, "setenvif", "Setting no-gzip").at("mod_setenvif.c", 630),
    request(Trace2, 8, "proxy", "AH03461: attempting to match URI path '{uri}' against prefix '/api' for proxying").at("mod_proxy.c", 902),
    request(Trace2, 6, "proxy", "http: found worker http://{backend}/ for http://{backend}/api/v1/session").at("proxy_util.c", 2486),
    request(Trace2, 4, "proxy_http", "end body send").at("mod_proxy_http.c", 1809),

    request(Trace3, 10, "core", "request authorized without authentication by access_checker_ex hook: {uri}").at("request.c", 360),
    request(Trace3, 4, "core", "auth phase 'check user' gave status 401: {uri}").at("request.c", 120),
    request(Trace3, 10, "http", "Response sent with status 200").at("http_filters.c", 1141),
    request(Trace3, 4, "http", "Response sent with status 404").at("http_filters.c", 1141),
    request(Trace3, 5, "proxy_http", "Status from backend: 200").at("mod_proxy_http.c", 1239),
    connection(Trace3, 6, "ssl", "OpenSSL: Handshake: start").at("ssl_engine_kernel.c", 2205),
    connection(Trace3, 6, "ssl", "OpenSSL: Handshake: done").at("ssl_engine_kernel.c", 2209),
    connection(Trace3, 6, "ssl", "OpenSSL: Loop: TLSv1.3 early data").at("ssl_engine_kernel.c", 2213),

    request(Trace4, 8, "http", "Headers received from client:").at("http_request.c", 435),
    request(Trace4, 8, "http", "  Host: {host}").at("http_request.c", 438),
    request(Trace4, 6, "http", "  Accept-Encoding: gzip, deflate, br").at("http_request.c", 438),
    request(Trace4, 6, "http", "  Content-Type: text/html; charset=UTF-8").at("http_filters.c", 971),
    request(Trace4, 5, "filter", "Content-Type 'text/html' ...").at("mod_filter.c", 168),
    request(Trace4, 4, "filter", "... matched 'text/html'").at("mod_filter.c", 174),
    request(Trace4, 4, "proxy_http", "Headers received from backend:").at("mod_proxy_http.c", 838),

    request(Trace5, 10, "core", "Request received from client: GET /products/17 HTTP/1.1").at("protocol.c", 713),
    request(Trace5, 2, "core", "Request received from client: POST /api/v1/basket/items HTTP/1.1").at("protocol.c", 713),
    request(Trace5, 6, "http", "  Server: {server}").at("http_filters.c", 1153),
    request(Trace5, 2, "proxy", "proxy: websocket: client wait writable").at("proxy_util.c", 5410),

    connection(Trace6, 10, "core", "writev_nonblocking: {number}/{number}").at("core_filters.c", 828),
    connection(Trace6, 6, "core", "sendfile_nonblocking: {number}/{number}").at("core_filters.c", 852),
    connection(Trace6, 5, "core", "core_output_filter: flushing because of FLUSH bucket").at("core_filters.c", 424),
    connection(Trace6, 5, "ssl", "bio_filter_out_write: flush").at("ssl_engine_io.c", 154),
    connection(Trace6, 6, "ssl", "bio_filter_out_write: {number} bytes").at("ssl_engine_io.c", 217),
    connection(Trace6, 6, "ssl", "ssl_filter_write: {number} bytes").at("ssl_engine_io.c", 890),

    connection(Trace7, 10, "dumpio", "mod_dumpio: dumpio_in [getline-blocking] 0 readbytes").at("mod_dumpio.c", 135),
    connection(Trace7, 6, "dumpio", "mod_dumpio: dumpio_in [speculative-nonblocking] 1 readbytes").at("mod_dumpio.c", 135),
    connection(Trace7, 10, "dumpio", "mod_dumpio:  dumpio_in (data-HEAP): {number} bytes").at("mod_dumpio.c", 58),
    connection(Trace7, 6, "dumpio", "mod_dumpio:  dumpio_in (data-HEAP): Host: {host}\r\n").at("mod_dumpio.c", 100),
    connection(Trace7, 8, "dumpio", "mod_dumpio: dumpio_out").at("mod_dumpio.c", 164),
    connection(Trace7, 6, "dumpio", "mod_dumpio:  dumpio_out (metadata-FLUSH): 0 bytes").at("mod_dumpio.c", 58),

    request(Trace8, 8, "proxy_fcgi", "AH01062: sending env var 'REQUEST_METHOD' value 'GET'").at("mod_proxy_fcgi.c", 411),
    request(Trace8, 8, "proxy_fcgi", "AH01062: sending env var 'SCRIPT_NAME' value '{uri}'").at("mod_proxy_fcgi.c", 411),
    request(Trace8, 8, "proxy_fcgi", "AH01062: sending env var 'HTTP_HOST' value '{host}'").at("mod_proxy_fcgi.c", 411),
    request(Trace8, 3, "proxy", "proxy: websocket: client input ready").at("proxy_util.c", 5390),
    request(Trace8, 3, "proxy", "proxy: websocket: origin output ready").at("proxy_util.c", 5547),
    request(Trace8, 4, "proxy", "AH10215: proxy: websocket: woken up, 1 result(s)").at("proxy_util.c", 5504),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PLACEHOLDERS: &[&str] =
        &["path", "uri", "host", "user", "pid", "number", "backend", "server", "script"];

    const LEVELS: &[StreamKind] = &[
        Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug, Trace1, Trace2, Trace3, Trace4,
        Trace5, Trace6, Trace7, Trace8,
    ];

    fn of(level: StreamKind, mpm: Mpm) -> impl Iterator<Item = &'static CatalogMessage> {
        let fits = move |entry: &&CatalogMessage| entry.mpm.is_none_or(|only| only == mpm);
        CATALOG.iter().filter(move |entry| entry.level == level).filter(fits)
    }

    #[test]
    fn every_level_has_messages_whatever_the_mpm() {
        for &mpm in &[Event, Worker, Prefork] {
            for &level in LEVELS {
                assert!(of(level, mpm).count() >= 3, "{level:?} {mpm:?}");
            }
            for &level in &[Error, Warn, Notice, Info] {
                assert!(of(level, mpm).count() >= 12, "{level:?} {mpm:?}");
            }
        }
    }

    #[test]
    fn no_entry_is_of_another_kind_without_weight_or_twice() {
        let mut seen = HashSet::new();
        for entry in CATALOG {
            assert!(LEVELS.contains(&entry.level), "{}", entry.text);
            assert!(entry.weight > 0, "{}", entry.text);
            assert!(seen.insert((entry.module, entry.errno, entry.text)), "{}", entry.text);
        }
    }

    #[test]
    fn debug_and_trace_name_their_source_and_others_do_not() {
        for entry in CATALOG {
            assert_eq!(entry.source.is_some(), entry.level >= Debug, "{}", entry.text);
            if let Some((file, line)) = entry.source {
                let stem = file.strip_suffix(".c").unwrap_or_default();
                let name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                assert!(!stem.is_empty() && stem.bytes().all(name) && line > 0, "{file}({line})");
            }
        }
    }

    #[test]
    fn braces_hold_known_placeholders_alone() {
        for entry in CATALOG {
            let mut parts = entry.text.split('{');
            assert!(!parts.next().unwrap().contains('}'), "{}", entry.text);
            for part in parts {
                let (name, rest) = part.split_once('}').expect(entry.text);
                assert!(PLACEHOLDERS.contains(&name), "{}", entry.text);
                assert!(!rest.contains('}'), "{}", entry.text);
            }
        }
    }

    #[test]
    fn numbers_are_five_digits_and_messages_below_debug_have_one() {
        for entry in CATALOG {
            let Some(rest) = entry.text.strip_prefix("AH") else {
                let bare = entry.level >= Trace1
                    || entry.text.starts_with("/srv/")
                    || entry.text.starts_with("SSL Library Error: ");
                assert!(bare, "{}", entry.text);
                continue;
            };
            let (number, message) = rest.split_once(": ").expect(entry.text);
            assert!(number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(!message.is_empty(), "{}", entry.text);
        }
    }

    #[test]
    fn a_message_of_an_mpm_is_that_mpms() {
        for entry in CATALOG {
            let mpm = match entry.module {
                "mpm_event" => Some(Event),
                "mpm_worker" => Some(Worker),
                "mpm_prefork" => Some(Prefork),
                _ => None,
            };
            assert_eq!(entry.mpm, mpm, "{}", entry.text);
        }
    }

    #[test]
    fn a_referer_needs_a_client_and_an_errno_a_text() {
        for entry in CATALOG {
            assert!(entry.client || !entry.referer, "{}", entry.text);
            assert!(entry.errno.is_none_or(|(number, text)| number > 0 && !text.is_empty()));
        }
    }
}
