//! The traffic of the default server: requests, clients and responses of a small web shop with a blog.
//!
//! Pure data. All hosts are names and all networks are
//! addresses that are reserved for documentation and benchmarks, so no line refers to a real
//! host. Everything is unescaped; the format escapes it.

use visor_logs::Release;

/// The class of a request target, which determines methods and status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A dynamic page.
    Page,
    /// A static file of a page: a style sheet, a script, an image, a font.
    Asset,
    /// A large static file, also with range requests.
    Download,
    /// A page with a form that is posted to the same path.
    Form,
    /// An API endpoint.
    Api,
    /// A page that requires authentication.
    Admin,
    /// A missing path that scanners request.
    Probe,
    /// An unknown class, for targets of a document. None of [`TARGETS`] has it.
    Other,
}

/// Status codes, each with its weight.
type Statuses = &'static [(u16, u32)];

/// The methods of the targets of a class, and their status codes.
#[derive(Debug)]
pub(crate) struct Behavior {
    /// The class. It is also the index in [`BEHAVIORS`].
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests hold class and place together"))]
    pub class: Class,
    /// Each method with its weight, and the status codes of its responses with theirs.
    pub methods: &'static [(&'static str, u32, Statuses)],
}

/// A request target and its weight.
#[derive(Debug)]
pub(crate) struct Page {
    /// The request target: the path, optionally with a query string.
    pub target: &'static str,
    /// Its class.
    pub class: Class,
    /// Its weight.
    pub weight: u32,
    /// The smallest and the largest size of its body in bytes. Equal for a static file.
    pub size: (u64, u64),
}

const fn page(target: &'static str, weight: u32, min: u64, max: u64) -> Page {
    Page { target, class: Class::Page, weight, size: (min, max) }
}

const fn form(target: &'static str, weight: u32, min: u64, max: u64) -> Page {
    Page { target, class: Class::Form, weight, size: (min, max) }
}

const fn api(target: &'static str, weight: u32, min: u64, max: u64) -> Page {
    Page { target, class: Class::Api, weight, size: (min, max) }
}

const fn admin(target: &'static str, weight: u32, min: u64, max: u64) -> Page {
    Page { target, class: Class::Admin, weight, size: (min, max) }
}

const fn asset(target: &'static str, weight: u32, size: u64) -> Page {
    Page { target, class: Class::Asset, weight, size: (size, size) }
}

const fn download(target: &'static str, weight: u32, size: u64) -> Page {
    Page { target, class: Class::Download, weight, size: (size, size) }
}

/// A probe has no body of its own: the response is an error document.
const fn probe(target: &'static str, weight: u32) -> Page {
    Page { target, class: Class::Probe, weight, size: (0, 0) }
}

/// The behavior of each class, in the order of [`Class`].
#[rustfmt::skip]
pub(crate) const BEHAVIORS: &[Behavior] = &[
    Behavior { class: Class::Page, methods: &[
        ("GET", 970, &[(200, 948), (304, 30), (302, 6), (301, 5), (404, 5), (500, 3), (503, 2), (502, 1)]),
        ("HEAD", 30, &[(200, 980), (301, 8), (404, 7), (503, 5)]),
    ] },
    Behavior { class: Class::Asset, methods: &[
        ("GET", 995, &[(200, 700), (304, 290), (404, 8), (206, 2)]),
        ("HEAD", 5, &[(200, 900), (304, 90), (404, 10)]),
    ] },
    Behavior { class: Class::Download, methods: &[
        ("GET", 950, &[(206, 560), (200, 380), (304, 40), (404, 12), (416, 5), (403, 3)]),
        ("HEAD", 50, &[(200, 980), (404, 20)]),
    ] },
    Behavior { class: Class::Form, methods: &[
        ("GET", 640, &[(200, 975), (302, 15), (500, 5), (503, 5)]),
        ("POST", 360, &[(303, 560), (302, 280), (200, 90), (422, 40), (400, 12), (403, 10), (413, 2), (500, 6)]),
    ] },
    Behavior { class: Class::Api, methods: &[
        ("GET", 700, &[(200, 880), (304, 60), (404, 24), (401, 14), (400, 8), (429, 6), (500, 3), (502, 3), (504, 2)]),
        ("POST", 170, &[(201, 620), (200, 270), (400, 30), (422, 30), (401, 20), (409, 12), (429, 8), (500, 6), (502, 4)]),
        ("PUT", 50, &[(200, 560), (204, 370), (404, 24), (409, 20), (401, 14), (412, 8), (500, 4)]),
        ("PATCH", 20, &[(200, 900), (404, 40), (422, 40), (401, 20)]),
        ("DELETE", 30, &[(204, 900), (404, 60), (401, 20), (403, 20)]),
        ("OPTIONS", 30, &[(204, 990), (403, 10)]),
    ] },
    Behavior { class: Class::Admin, methods: &[
        ("GET", 880, &[(200, 560), (401, 270), (403, 110), (302, 50), (500, 10)]),
        ("POST", 120, &[(302, 560), (401, 210), (403, 170), (200, 50), (500, 10)]),
    ] },
    Behavior { class: Class::Probe, methods: &[
        ("GET", 860, &[(404, 800), (403, 170), (400, 20), (301, 10)]),
        ("POST", 100, &[(404, 760), (403, 180), (405, 60)]),
        ("HEAD", 40, &[(404, 850), (403, 150)]),
    ] },
    Behavior { class: Class::Other, methods: &[
        ("GET", 860, &[(200, 880), (304, 70), (404, 20), (301, 15), (302, 8), (403, 3), (500, 2), (503, 2)]),
        ("POST", 90, &[(200, 420), (201, 260), (303, 160), (302, 90), (400, 30), (422, 20), (403, 10), (500, 10)]),
        ("HEAD", 30, &[(200, 930), (304, 30), (404, 25), (301, 15)]),
        ("PUT", 10, &[(200, 560), (204, 380), (404, 30), (409, 20), (403, 10)]),
        ("DELETE", 5, &[(204, 900), (404, 60), (403, 40)]),
        ("OPTIONS", 5, &[(200, 600), (204, 400)]),
    ] },
];

/// The request targets.
#[rustfmt::skip]
pub(crate) const TARGETS: &[Page] = &[
    page("/", 620, 18_204, 19_871),
    page("/index.html", 30, 18_204, 19_871),
    page("/products", 180, 31_480, 36_902),
    page("/products?page=2", 90, 30_144, 36_511),
    page("/products?page=3&sort=price", 50, 29_870, 36_420),
    page("/products?category=tea&sort=price&order=asc", 70, 22_318, 28_907),
    page("/products/17", 110, 14_902, 16_240),
    page("/products/42?colour=red", 80, 15_011, 16_377),
    page("/products/108-earl-grey-100g", 90, 14_733, 16_102),
    page("/products/231-cast-iron-teapot", 75, 15_640, 17_208),
    page("/products/caf%C3%A9-cr%C3%A8me-250g", 30, 14_588, 15_903),
    page("/products/gr%C3%BCner-tee-b%C3%BCndel", 25, 14_610, 15_977),
    page("/search?q=teapot", 60, 11_204, 27_730),
    page("/search?q=earl+grey&page=2", 30, 9_870, 26_512),
    page("/search?q=gr%C3%BCner%20tee", 25, 9_902, 24_018),
    page("/search?q=%E8%8C%B6%E5%A3%B6", 12, 8_730, 12_411),
    page("/search?q=%22gift+set%22&min=10&max=50", 15, 9_118, 21_640),
    page("/search?q=\"gift-set\"&sort=price", 6, 9_118, 21_640),
    page("/search?q=grüner-tee", 6, 9_902, 24_018),
    page("/blog\\feed.xml", 2, 6_204, 9_118),
    page("/blog/", 110, 24_310, 26_905),
    page("/blog/2026/03/how-to-brew-green-tea", 85, 19_422, 21_733),
    page("/blog/2026/01/opening-hours", 40, 12_208, 13_560),
    page("/blog/2025/11/%E6%96%B0%E8%8C%B6", 12, 13_905, 14_870),
    page("/blog/tag/recipes?page=4", 25, 17_330, 22_104),
    page("/blog/feed.xml", 65, 38_112, 41_977),
    page("/blog/comments/feed/", 15, 6_204, 9_118),
    page("/about", 35, 8_904, 9_127),
    page("/about/imprint", 10, 6_120, 6_233),
    page("/terms", 8, 28_455, 28_688),
    page("/shipping", 20, 7_330, 7_541),
    page("/basket", 90, 7_118, 15_460),
    page("/sitemap.xml", 20, 52_380, 54_112),
    page("/healthz", 40, 2, 2),
    page("/server-status?auto", 8, 980, 1_340),
    page("/api/v1/products?limit=20&offset=40", 120, 4_210, 11_872),
    page("/api/v1/suggest?q=ear", 90, 62, 1_240),

    asset("/favicon.ico", 190, 5_430),
    asset("/apple-touch-icon.png", 40, 9_218),
    asset("/site.webmanifest", 25, 426),
    asset("/robots.txt", 90, 183),
    asset("/.well-known/security.txt", 4, 311),
    asset("/assets/app-5f3a9c1e.css", 330, 41_872),
    asset("/assets/print-0c77d2ab.css", 12, 3_190),
    asset("/assets/app-b81d07f2.js", 330, 187_403),
    asset("/assets/vendor-2e90c4d7.js", 300, 312_664),
    asset("/assets/app-b81d07f2.js.map", 3, 742_310),
    asset("/assets/icons.svg?v=12", 210, 14_077),
    asset("/assets/fonts/inter-latin-400.woff2", 240, 22_980),
    asset("/assets/fonts/inter-latin-700.woff2", 210, 23_564),
    asset("/images/logo.svg", 280, 2_914),
    asset("/images/hero-1600.avif", 160, 88_412),
    asset("/images/hero-800.webp", 90, 61_230),
    asset("/images/products/17-480.jpg", 150, 38_204),
    asset("/images/products/42-480.jpg", 140, 41_733),
    asset("/images/products/108-480.jpg", 140, 36_918),
    asset("/images/products/231-960.webp", 80, 94_551),
    asset("/images/blog/kyoto%20garden.jpg", 35, 213_480),
    asset("/images/pixel.gif", 50, 43),

    download("/downloads/catalogue-2026.pdf", 24, 8_412_377),
    download("/downloads/manuals/teapot-231_en.pdf", 14, 1_204_882),
    download("/downloads/price-list.csv", 8, 74_190),
    download("/media/how-to-brew.mp4", 30, 48_730_112),

    form("/login", 55, 5_204, 5_611),
    form("/register", 18, 6_730, 7_088),
    form("/checkout", 32, 16_902, 22_340),
    form("/contact", 14, 6_118, 6_390),
    form("/password/reset?token=9f8e7d6c5b4a", 5, 4_911, 5_102),
    form("/newsletter", 10, 3_870, 3_988),

    api("/api/v1/products/17/reviews", 60, 640, 9_204),
    api("/api/v1/basket/items", 85, 118, 2_406),
    api("/api/v1/basket/items/5531", 30, 96, 480),
    api("/api/v1/orders/100482", 25, 730, 3_918),
    api("/api/v1/session", 45, 88, 412),
    api("/api/v1/events", 40, 16, 16),

    admin("/admin/", 12, 9_120, 12_477),
    admin("/admin/orders?state=open", 14, 11_305, 48_210),
    admin("/admin/products/17/edit", 6, 13_207, 14_018),

    probe("/wp-login.php", 22),
    probe("/xmlrpc.php", 14),
    probe("/.env", 16),
    probe("/.git/config", 12),
    probe("/phpmyadmin/index.php", 6),
    probe("/cgi-bin/luci/;stok=/locale", 3),
    probe("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", 5),
    probe("/index.php?s=/Index/%5Cthink%5Capp/invokefunction&vars[0]=md5", 2),
    probe("/actuator/health", 4),
    probe("/.aws/credentials", 4),
];

/// The protocols.
pub(crate) const PROTOCOLS: &[(&str, u32)] =
    &[("HTTP/1.1", 620), ("HTTP/2.0", 360), ("HTTP/1.0", 20)];

/// The parameters of TLS connections: protocol, cipher, weight.
pub(crate) const TLS: &[(&str, &str, u32)] = &[
    ("TLSv1.3", "TLS_AES_256_GCM_SHA384", 620),
    ("TLSv1.3", "TLS_AES_128_GCM_SHA256", 180),
    ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", 90),
    ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", 60),
    ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", 50),
];

/// The content type of a path, by its extension; pages are HTML.
pub(crate) fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "css" => "text/css",
        "js" => "text/javascript",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "xml" => "application/xml",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        _ if path.starts_with("/api/") => "application/json",
        _ => "text/html",
    }
}

/// The authenticated users. `-` is a request without one.
#[rustfmt::skip]
pub(crate) const USERS: &[(&str, u32)] = &[
    ("-", 9_400), ("Frank", 60), ("Addison", 60), ("Alden", 60), ("Blythe", 45), ("Carver", 45),
    ("Delia", 45), ("Ellery", 40), ("Fenwick", 40), ("Greta", 40), ("Harlan", 35), ("Isolde", 35),
    ("Jasper", 35), ("Linnea", 30), ("Merritt", 30), ("Odette", 20), ("shop-admin", 60),
    ("reports", 20),
];

/// The referers. `-` is a request without one.
#[rustfmt::skip]
pub(crate) const REFERERS: &[(&str, u32)] = &[
    ("-", 3_600),
    ("https://shop.example/", 1_500),
    ("https://shop.example/products", 900),
    ("https://shop.example/products?page=2", 420),
    ("https://shop.example/products/17", 520),
    ("https://shop.example/products/42?colour=red", 380),
    ("https://shop.example/products/108-earl-grey-100g", 340),
    ("https://shop.example/search?q=teapot", 260),
    ("https://shop.example/search?q=gr%C3%BCner%20tee", 90),
    ("https://shop.example/basket", 300),
    ("https://shop.example/checkout", 160),
    ("https://shop.example/login", 110),
    ("https://www.shop.example/", 240),
    ("https://blog.shop.example/", 210),
    ("https://blog.shop.example/blog/2026/03/how-to-brew-green-tea", 190),
    ("https://search.example/?q=\"green tea\"", 12),
    ("https://search.example/", 420),
    ("https://search.example/search?q=earl+grey+100g", 120),
    ("https://www.search.example/results?query=cast%20iron%20teapot&start=10", 70),
    ("https://news.example.com/2026/03/14/the-return-of-loose-tea", 60),
    ("https://forum.example.org/viewtopic.php?f=12&t=4711#p20145", 50),
    ("https://mail.example.net/", 30),
    ("android-app://com.example.reader/", 30),
];

/// The user agents. `-` is a request without one.
#[rustfmt::skip]
pub(crate) const USER_AGENTS: &[(&str, u32)] = &[
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36", 1_450),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36", 620),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36 Edg/145.0.0.0", 560),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0", 420),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", 110),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 OPR/127.0.0.0", 80),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36", 520),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.2 Safari/605.1.15", 430),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15", 160),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:147.0) Gecko/20100101 Firefox/147.0", 110),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36", 190),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0", 160),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0", 70),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36", 50),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Mobile Safari/537.36", 1_380),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36", 230),
    ("Mozilla/5.0 (Android 15; Mobile; rv:147.0) Gecko/147.0 Firefox/147.0", 70),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.2 Mobile/15E148 Safari/604.1", 1_120),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1", 180),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/145.0.7632.41 Mobile/15E148 Safari/604.1", 140),
    ("Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1", 110),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 210),
    ("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.7632.45 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 160),
    ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36", 150),
    ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", 60),
    ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", 80),
    ("Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)", 60),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", 40),
    ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", 60),
    ("check_http/v2.3.3 (monitoring-plugins 2.3.3)", 40),
    ("Blackbox Exporter/0.27.0", 40),
    ("Mozilla/5.0 (compatible; \"Teapot\" Bot/2.0; C:\\bot)", 6),
    ("Théière/1.2 (Android 15; Maison)", 6),
    ("curl/8.14.1", 45),
    ("curl/7.88.1", 25),
    ("Wget/1.21.3", 15),
    ("python-requests/2.32.5", 60),
    ("Go-http-client/2.0", 40),
    ("Go-http-client/1.1", 40),
    ("okhttp/4.12.0", 70),
    ("axios/1.13.2", 30),
    ("Apache-HttpClient/4.5.14 (Java/17.0.17)", 25),
    ("-", 70),
];

/// The names of the virtual hosts.
pub(crate) const VIRTUAL_HOSTS: &[(&str, u32)] =
    &[("shop.example", 700), ("www.shop.example", 180), ("blog.shop.example", 120)];

/// The times to serve a request: minimum and maximum in microseconds, and the weight.
pub(crate) const DURATIONS: &[(u64, u64, u32)] = &[
    (90, 400, 420),
    (400, 2_000, 280),
    (2_000, 20_000, 170),
    (20_000, 120_000, 90),
    (120_000, 800_000, 33),
    (800_000, 5_000_000, 6),
    (5_000_000, 30_000_000, 1),
];

/// The sizes of the bodies of targets without a size: minimum and maximum in bytes, and the weight.
pub(crate) const SIZES: &[(u64, u64, u32)] = &[
    (64, 1_023, 180),
    (1_024, 10_240, 420),
    (10_241, 65_536, 290),
    (65_537, 524_288, 95),
    (524_289, 4_194_304, 15),
];

/// The size in bytes of httpd's own document for a redirect or an error,
/// without `ServerSignature` and with `webmaster@localhost` as `ServerAdmin`; a redirect's is one
/// to an address of 35 bytes. 0 for a status that has none: 1xx, 2xx and 304.
pub(crate) fn error_body(status: u16, release: Release) -> u64 {
    // The declaration of its type is HTML 4.01's instead of 2.0's.
    let longer = if release > Release::V2_4_59 { 40 } else { 0 };
    match error_document(status) {
        0 => 0,
        size => size + longer,
    }
}

/// The size of the document of 2.4.59.
fn error_document(status: u16) -> u64 {
    let own = ERROR_DOCUMENTS.iter().find(|(own, _)| *own == status);
    match (own, status) {
        (Some((_, size)), _) => *size,
        (None, 300..=399) => 243,
        // If httpd has no text for a status, it uses that of a 500.
        (None, 400..=599) => 532,
        (None, _) => 0,
    }
}

/// The statuses that have a text, and the size of the document in bytes.
#[rustfmt::skip]
const ERROR_DOCUMENTS: &[(u16, u64)] = &[
    (301, 243), (302, 219), (303, 242), (304, 0), (307, 245), (308, 245), (400, 226), (401, 381),
    (402, 522), (403, 199), (404, 196), (405, 220), (406, 249), (407, 415), (408, 221), (409, 506),
    (410, 282), (411, 238), (412, 233), (413, 315), (414, 248), (415, 263), (416, 314), (417, 312),
    (421, 322), (422, 285), (423, 277), (424, 300), (426, 385), (428, 215), (429, 227), (431, 273),
    (451, 249), (500, 532), (501, 202), (502, 232), (503, 299), (504, 247), (505, 542), (506, 298),
    (507, 389), (508, 232), (510, 247), (511, 249),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LISTS: &[(&str, &[(&str, u32)])] = &[
        ("protocols", PROTOCOLS),
        ("users", USERS),
        ("referers", REFERERS),
        ("user agents", USER_AGENTS),
        ("virtual hosts", VIRTUAL_HOSTS),
    ];

    #[test]
    fn each_class_has_its_behaviour_at_its_place() {
        for (place, behavior) in BEHAVIORS.iter().enumerate() {
            assert_eq!(behavior.class as usize, place, "{:?}", behavior.class);
        }
        assert_eq!(BEHAVIORS.len(), Class::Other as usize + 1);
    }

    #[test]
    fn every_class_but_other_has_resources() {
        for behavior in BEHAVIORS {
            let some = TARGETS.iter().any(|page| page.class == behavior.class);
            assert_eq!(some, behavior.class != Class::Other, "{:?}", behavior.class);
        }
    }

    #[test]
    fn all_weights_are_positive_and_nothing_is_listed_twice() {
        for (name, list) in LISTS {
            let values: HashSet<_> = list.iter().map(|(value, _)| value).collect();
            assert_eq!(values.len(), list.len(), "{name}");
            assert!(list.iter().all(|(_, weight)| *weight > 0), "{name}");
        }
        let targets: HashSet<_> = TARGETS.iter().map(|page| page.target).collect();
        assert_eq!(targets.len(), TARGETS.len());
        assert!(TARGETS.iter().all(|page| page.weight > 0));
        for behavior in BEHAVIORS {
            for (method, weight, statuses) in behavior.methods {
                let distinct: HashSet<_> = statuses.iter().map(|(status, _)| status).collect();
                assert_eq!(distinct.len(), statuses.len(), "{:?} {method}", behavior.class);
                assert!(*weight > 0 && statuses.iter().all(|(_, weight)| *weight > 0));
            }
        }
    }

    #[test]
    fn statuses_go_with_their_methods() {
        for behavior in BEHAVIORS {
            for (method, _, statuses) in behavior.methods {
                for (status, _) in *statuses {
                    let fits = match status {
                        304 => matches!(*method, "GET" | "HEAD"),
                        206 | 416 => *method == "GET",
                        201 => matches!(*method, "POST" | "PUT"),
                        204 => matches!(*method, "POST" | "PUT" | "DELETE" | "OPTIONS"),
                        303 | 409 | 413 | 422 => matches!(*method, "POST" | "PUT" | "PATCH"),
                        200..=599 => true,
                        _ => false,
                    };
                    assert!(fits, "{:?} {method} {status}", behavior.class);
                }
            }
        }
    }

    #[test]
    fn targets_are_what_a_client_may_send() {
        for page in TARGETS {
            assert!(page.target.starts_with('/'), "{}", page.target);
            // httpd takes what isn't a control or a blank, although a browser encodes more.
            let legal = |byte: u8| !byte.is_ascii_control() && byte != b' ';
            assert!(page.target.bytes().all(legal), "{}", page.target);
        }
    }

    #[test]
    fn ranges_are_in_order_and_static_files_have_one_size() {
        for page in TARGETS {
            let (min, max) = page.size;
            let file = matches!(page.class, Class::Asset | Class::Download);
            assert!(if file { min == max && min > 0 } else { min <= max }, "{}", page.target);
        }
        for (min, max, weight) in DURATIONS.iter().chain(SIZES) {
            assert!(min <= max && *weight > 0, "{min}..{max}");
        }
    }

    #[test]
    fn error_documents_are_for_redirects_and_errors_alone() {
        for status in 100..300 {
            assert_eq!(error_body(status, Release::PRESENT), 0, "{status}");
        }
        for status in 300..600 {
            assert_eq!(error_body(status, Release::PRESENT) == 0, status == 304, "{status}");
        }
        let sizes = |release| [404, 418, 500].map(|status| error_body(status, release));
        assert_eq!(sizes(Release::V2_4_59), [196, 532, 532]);
        assert_eq!(sizes(Release::V2_4_71), [236, 572, 572]);
    }
}
