//! The classes and functions that a file has if the model needs them.

/// The method that puts layers and parameters where the names in a file say.
pub(super) const PUT: &str = r#"
    def put(self, name, value):
        """Adds a layer or a parameter under its name in the file."""
        *path, last = name.split(".")
        module = self
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        setattr(module, last, value)
"#;

/// Each with what a class contains that needs it.
const HELPERS: [(&str, &str); 7] = [
    ("normal_log_prob(", NORMAL_LOG_PROB),
    ("gated(", GATED),
    ("batch_norm(", BATCH_NORM),
    ("layer_norm(", LAYER_NORM),
    ("enlarge(", ENLARGE),
    (" Convolution(", CONVOLUTION),
    ("TransposedConvolution(", TRANSPOSED_CONVOLUTION),
];

const NORMAL_LOG_PROB: &str = r#"
def normal_log_prob(x, mean, logvar):
    """log N(x; mean, exp(logvar)), value by value."""
    return -0.5 * (math.log(2.0 * math.pi) + logvar + (x - mean) ** 2 * torch.exp(-logvar))
"#;

const GATED: &str = r#"
def gated(h):
    """Each even channel times the sigmoid of the one after it."""
    return h[:, 0::2] * torch.sigmoid(h[:, 1::2])
"#;

const BATCH_NORM: &str = r#"
def batch_norm(h, norm, training):
    """Over the batch; norm has the rows scale, shift, running mean and running variance."""
    mean, variance = norm.data[2], norm.data[3]  # changed in place in training
    return F.batch_norm(h, mean, variance, norm[0], norm[1], training, momentum=0.1, eps=1e-5)
"#;

const LAYER_NORM: &str = r#"
def layer_norm(h, norm):
    """Over the channels, of each position by itself; norm has the rows scale and shift."""
    h = h.movedim(1, -1)
    return F.layer_norm(h, h.shape[-1:], norm[0], norm[1], eps=1e-5).movedim(-1, 1)
"#;

const ENLARGE: &str = r#"
def enlarge(h, factor, size):
    """Each position `factor` times along both axes, to a size; the last ones are repeated if it is larger."""
    rows, columns = (torch.arange(n, device=h.device) // factor for n in size)
    return h[:, :, rows.clamp(max=h.shape[2] - 1)][:, :, :, columns.clamp(max=h.shape[3] - 1)]
"#;

const CONVOLUTION: &str = r#"
class Convolution(nn.Module):
    """A convolution whose weight is (outputs, kernel, kernel, inputs)."""

    def __init__(self, inputs, outputs, kernel, stride, padding):
        super().__init__()
        bound = (inputs * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(outputs, kernel, kernel, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.window = stride, padding

    def forward(self, h):
        return F.conv2d(h, self.weight.permute(0, 3, 1, 2), self.bias, *self.window)
"#;

const TRANSPOSED_CONVOLUTION: &str = r#"
class TransposedConvolution(nn.Module):
    """A transposed convolution whose weight is (inputs, kernel, kernel, outputs)."""

    def __init__(self, inputs, outputs, kernel, stride, padding, output_padding):
        super().__init__()
        bound = (outputs * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(inputs, kernel, kernel, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.window = stride, padding, output_padding

    def forward(self, h):
        return F.conv_transpose2d(h, self.weight.permute(0, 3, 1, 2), self.bias, *self.window)
"#;

/// Those that a class uses.
pub(super) fn of(class: &str) -> String {
    let used = HELPERS.iter().filter(|(needed, _)| class.contains(needed));
    used.map(|(_, helper)| format!("\n{helper}")).collect()
}
