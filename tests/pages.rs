//! The pages of all commands: one title, answers, captions, headers that say what they head, words for figures, a dark
//! theme, paper, and no raw control character of a name.

use vmin_testkit::{Vmin, vmin};

/// A name with an escape sequence, a bell and a tag.
const NAME: &str = r"a\u001b[31m<b>\u0007";
const SHOWN: &str = r"a\x1b[31m&lt;b&gt;\x07";

fn sweep(vmin: &Vmin, out: &str, more: &str) {
    let experiment = format!(
        r#"
name = "{NAME}{out}"
[network]
model = "builtin:shapes-normal-8bit"
[data]
set = "builtin:shapes"
images = 30
[accelerator]
model = "gemmini-16"
[memory]
profile = "sram14"
vdd_mv = [1000, 900, 850]
[chips]
count = 3
seed = 3
{more}
"#
    );
    vmin.write("e.toml", experiment);
    vmin.ok(&["sweep", "e.toml", "--out", out]);
}

/// What every page has.
fn check<'p>(page: &'p str, name: &str) -> &'p str {
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}");
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'), "{name}");
    let (page, _) = page.split_once("<script type=\"application/json\"").expect("its data");
    let count = |text: &str| page.matches(text).count();
    assert_eq!(count("<title>"), 1, "{name}");
    assert!(!page.contains("<title> ") && count("<h1>") == 1, "{name}");
    assert!(count("<div class=\"fact\">") >= 2, "{name}: answers");
    assert_eq!(count("<table>"), count("<caption>"), "{name}");
    let headers = count("<th ") + count("<th>");
    assert_eq!(headers, count("<th scope=\"col\"") + count("<th scope=\"row\""), "{name}");
    let bodies = page.split("<tbody>").skip(1).filter_map(|rest| rest.split("</tbody>").next());
    for row in bodies.flat_map(|body| body.split("<tr").skip(1)) {
        let (_, cells) = row.split_once('>').expect("closed");
        assert!(cells.starts_with("<th scope=\"row\""), "{name}: {row}");
    }
    for svg in page.split("<svg ").skip(1) {
        let start = svg.split('>').next().expect("closed");
        assert!(
            start.contains("aria-label=\"") || start.contains("aria-hidden"),
            "{name}: {start}"
        );
        assert!(!start.contains("aria-label=\"\""), "{name}");
    }
    for tag in ["div", "figure", "table", "tr", "th", "td", "ul", "dl", "p", "svg"] {
        let opened = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
        assert_eq!(opened, count(&format!("</{tag}>")), "{name}: {tag}");
    }
    assert!(page.contains("@media screen and (prefers-color-scheme:dark)"), "{name}");
    assert!(page.contains("@media print"), "{name}");
    // Wide tables break their cells where a window has no room, and on a phone scroll, which is told there.
    assert!(page.contains("(min-width:561px){.wide td{white-space:normal}}"), "{name}");
    assert!(page.contains(".wide::before{content:\"scrolls sideways"), "{name}");
    for table in page.split("<table>").skip(1).zip(page.split("<table>")) {
        let head = table.0.split("</thead>").next().expect("a head");
        let columns = head.matches("scope=\"col\"").count();
        let told = table.1.rsplit("<div class=\"").next().expect("its box").contains("wide");
        assert_eq!(told, columns > 5, "{name}: {head}");
    }
    for outside in ["<link", "<img", " src=", "url(", "@import"] {
        assert!(!page.contains(outside), "{name}: {outside}");
    }
    page
}

#[test]
fn a_sweep_names_its_remedies_and_shows_its_budget() {
    let vmin = vmin!();
    let remedy = format!(
        "[memory.activation]\n[[remedy]]\nname = \"parity {NAME}\"\nprotection = [{{ kind = \"parity\" }}]\n"
    );
    sweep(&vmin, "out", &remedy);
    let page = vmin.text("out/report.html");
    let page = check(&page, "sweep");
    assert!(page.contains("<h2>Each memory</h2>"));
    assert!(page.contains(&format!("<title>{SHOWN}out · vmin</title>")));
    assert!(page.contains(&format!("<h1>{SHOWN}out</h1>")));
    // Once in the legend of the figure, once in the table.
    assert!(page.matches(&format!("parity {SHOWN}")).count() >= 2);
    assert!(page.contains("\nbudget ") && page.contains("symlog"));
    // These chips are simulated.
    assert!(!page.contains("measured"));
}

#[test]
fn sweeps_compared_have_a_page() {
    let vmin = vmin!();
    sweep(&vmin, "first", "");
    sweep(&vmin, "second", "[yield]\naccuracy_loss_max_pct = 5\n");
    vmin.ok(&["compare", "first", "second", "--out", "c.html", "--svg", "c.svg"]);
    let page = vmin.text("c.html");
    check(&page, "compare");
    for name in ["first", "second"] {
        let name = format!("\n{SHOWN}{name}\n");
        assert_eq!(page.matches(&name).count(), 2, "in both legends");
        assert!(vmin.text("c.svg").contains(&name));
    }
}

#[test]
fn accelerators_and_designs_have_pages() {
    let vmin = vmin!();
    let network = ["--accelerator", "gemmini-16", "--model", "builtin:shapes-cnn"];
    vmin.ok(&[&["cycles", "--report", "c.html"], &network[..]].concat());
    check(&vmin.text("c.html"), "cycles");
    let voltages = ["--profile", "sram14", "--vdd-mv", "900,850", "--report", "e.html"];
    vmin.ok(&[&["energy"], &network[..], &voltages].concat());
    check(&vmin.text("e.html"), "energy");
    vmin.ok(&["explore", "--out", "x"]);
    check(&vmin.text("x/explore.html"), "explore");
}

#[test]
fn a_monitor_has_a_page() {
    let vmin = vmin!();
    let at =
        ["--images", "0..40", "--profile", "sram14", "--vdd-mv", "1000..840:40", "--chip", "0..2"];
    let network = ["--model", "builtin:shapes-normal-8bit", "--data", "builtin:shapes"];
    let report = ["--windows", "20", "--report", "m.html"];
    vmin.ok(&[&["monitor"], &network[..], &at, &report].concat());
    let page = vmin.text("m.html");
    let page = check(&page, "monitor");
    assert_eq!(page.matches("<svg").count(), 4);
    for words in ["one for all chips", "without bit errors", "\nbudget ", "\nchip "] {
        assert!(page.contains(words), "no `{words}`");
    }
}

#[test]
fn errors_in_norms_have_a_page() {
    let vmin = vmin!();
    let at = ["--images", "0..5", "--profile", "sram14", "--vdd-mv", "900,850", "--chip", "0..1"];
    let network = ["--model", "builtin:shapes-cnn", "--data", "builtin:shapes"];
    vmin.ok(&[&["noise"], &network[..], &at, &["--report", "n.html"]].concat());
    let page = vmin.text("n.html");
    let page = check(&page, "noise");
    // The strips, and four norms.
    assert_eq!(page.matches("<svg").count(), 5);
    assert_eq!(page.matches("<g ").count(), 3 * 5);
    for words in ["MNIST", "CIFAR-10", "Every tensor", ">clean<", ">850 mV<"] {
        assert!(page.contains(words), "no `{words}`");
    }
}

#[test]
fn training_has_a_page() {
    let vmin = vmin!();
    vmin.write(
        "recipe.toml",
        r#"
name = "a\u001b<b>"
data = "builtin:shapes"
seed = 1
epochs = 2
batch_size = 100
schedule = "constant"
input = { zero_pixel = 128, scale = 0.02 }
network = [{ max_pool = { window = 4 } }, { fully_connected = { features = 10 } }]
[optimizer]
learning_rate = 0.02
momentum = 0.9
weight_decay = 0.0
"#,
    );
    vmin.ok(&["train", "recipe.toml", "--out", "t"]);
    check(&vmin.text("t/report.html"), "train");
}
