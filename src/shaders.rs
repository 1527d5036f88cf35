//! The text of shaders: the files under `shaders/`, with headers imported and slots filled. `shaders/README.md` lists the slots.

use std::borrow::Cow;
use std::path::Path;

/// Names a WGSL file under `shaders/` and embeds its text: `source!("nn/dense.wgsl")`.
macro_rules! source {
    ($path:literal) => {
        $crate::shaders::Source::new($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)))
    };
}
pub(crate) use source;

/// A WGSL file's path under `shaders/`, its text, and the parts in its slots.
///
/// `#import lib/name.wgsl` imports a header. `#import name` is a slot: the code that makes a kernel of the file fills
/// it with another file, and so fuses the two into one kernel.
#[derive(Clone, Debug)]
pub struct Source {
    path: &'static str,
    text: Cow<'static, str>,
    parts: Vec<(&'static str, Source)>,
}

impl Source {
    /// A file with its slots empty.
    pub const fn new(path: &'static str, text: &'static str) -> Source {
        Source { path, text: Cow::Borrowed(text), parts: Vec::new() }
    }

    /// Constants of type `u32`, under a name: numbers that depend on which kernel is made.
    pub fn of_constants(name: &'static str, constants: &[(&'static str, u32)]) -> Source {
        let text = constants.iter().map(|(name, value)| format!("const {name} = {value}u;\n")).collect();
        Source { path: name, text: Cow::Owned(text), parts: Vec::new() }
    }

    /// The same with a slot filled.
    #[must_use]
    pub fn with(mut self, slot: &'static str, part: Source) -> Source {
        self.parts.push((slot, part));
        self
    }

    /// The file's path under `shaders/`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The text: in debug builds from the directory that the environment variable `ELBO_SHADERS` names, so that a shader can be
    /// edited without a rebuild.
    fn text(&self) -> Result<Cow<'static, str>, String> {
        if cfg!(debug_assertions)
            && matches!(self.text, Cow::Borrowed(_))
            && let Some(directory) = std::env::var_os("ELBO_SHADERS")
        {
            let path = Path::new(&directory).join(self.path);
            let text = std::fs::read_to_string(&path);
            return text.map(Cow::Owned).map_err(|error| format!("cannot read {}: {error}", path.display()));
        }
        Ok(self.text.clone())
    }

    /// Names the file and the parts in its slots.
    pub(crate) fn label(&self) -> String {
        let parts = self.parts.iter().map(|(_, part)| format!(" + {}", part.label()));
        [self.path.to_owned()].into_iter().chain(parts).collect()
    }

    /// The text with every import replaced by the named file, a header only the first time.
    ///
    /// # Errors
    ///
    /// What is missing, if there is no such header or slot.
    pub(crate) fn expanded(&self) -> Result<String, String> {
        let mut text = String::new();
        self.expand_into(&mut Vec::new(), &mut text)?;
        Ok(text)
    }

    fn expand_into(&self, seen: &mut Vec<&'static str>, text: &mut String) -> Result<(), String> {
        let mut unused: Vec<_> = self.parts.iter().map(|(slot, _)| *slot).collect();
        for line in self.text()?.lines() {
            let Some(name) = line.strip_prefix("#import ") else {
                text.push_str(line);
                text.push('\n');
                continue;
            };
            let name = name.trim();
            if let Some((_, part)) = self.parts.iter().find(|(slot, _)| *slot == name) {
                unused.retain(|slot| *slot != name);
                part.expand_into(seen, text)?;
                continue;
            }
            let header = HEADERS.iter().find(|header| header.path == name);
            let header = header.ok_or_else(|| format!("nothing to import for `{name}` in {}", self.path))?;
            if !seen.contains(&header.path) {
                seen.push(header.path);
                header.expand_into(seen, text)?;
            }
        }
        match unused.first() {
            None => Ok(()),
            Some(slot) => Err(format!("{} has no slot `{slot}`", self.path)),
        }
    }
}

/// The headers that shaders may import: those of `shaders/lib/`, and others with bindings, beside the shaders that share them.
static HEADERS: &[Source] = &[
    source!("lib/activation.wgsl"),
    source!("lib/folded.wgsl"),
    source!("lib/levels.wgsl"),
    source!("lib/matrix.wgsl"),
    source!("lib/nan.wgsl"),
    source!("lib/normal.wgsl"),
    source!("lib/reduce.wgsl"),
    source!("lib/rng.wgsl"),
    source!("lib/step.wgsl"),
    source!("lib/texture.wgsl"),
    source!("likelihood/log_prob.wgsl"),
    source!("nn/convolution/phases.wgsl"),
    source!("nn/convolution/size.wgsl"),
    source!("nn/dense/bindings.wgsl"),
    source!("nn/dense/block.wgsl"),
    source!("nn/dense/four.wgsl"),
    source!("nn/dense/lanes/sums.wgsl"),
    source!("nn/dense/layer.wgsl"),
    source!("nn/dense/slices/sums.wgsl"),
    source!("nn/dense/workgroup/dweight.wgsl"),
    source!("nn/dense/workgroup/finish.wgsl"),
    source!("nn/dense/workgroup/tile.wgsl"),
    source!("nn/epilogue/no_sums.wgsl"),
    source!("nn/normalise/operands.wgsl"),
    source!("posterior/normal/draw.wgsl"),
    source!("posterior/normal/parameters.wgsl"),
];
