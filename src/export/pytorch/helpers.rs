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
const HELPERS: [(&str, &str); 11] = [
    ("normal_log_prob(", NORMAL_LOG_PROB),
    ("gated(", GATED),
    ("batch_norm(", BATCH_NORM),
    ("layer_norm(", LAYER_NORM),
    ("enlarge(", ENLARGE),
    (" Convolution(", CONVOLUTION),
    ("TransposedConvolution(", TRANSPOSED_CONVOLUTION),
    ("gru(", GRU),
    ("lstm(", LSTM),
    ("dilated(", DILATED),
    ("backwards(", BACKWARDS),
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

const GRU: &str = r#"
def gru(x, inputs, states, start=None):
    """Gated recurrent units: their states, (B, T, H), for x, (B, T, inputs)."""
    state = x.new_zeros(len(x), states.in_features) if start is None else torch.tanh(start)
    outputs = []
    for product in inputs(x).unbind(dim=1):
        (ar, au, an), (cr, cu, cn) = product.chunk(3, dim=1), states(state).chunk(3, dim=1)
        r, u = torch.sigmoid(ar + cr), torch.sigmoid(au + cu)
        state = (1.0 - u) * torch.tanh(an + r * cn) + u * state
        outputs.append(state)
    return torch.stack(outputs, dim=1)
"#;

const LSTM: &str = r#"
def lstm(x, inputs, states, start=None):
    """Long short-term memory: its states, (B, T, H), for x, (B, T, inputs)."""
    cell = x.new_zeros(len(x), states.in_features) if start is None else start
    state, outputs = torch.tanh(cell), []
    for product in inputs(x).unbind(dim=1):
        i, f, g, o = (product + states(state)).chunk(4, dim=1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        state = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(state)
    return torch.stack(outputs, dim=1)
"#;

const DILATED: &str = r#"
def dilated(x, counted, causal, inputs, *blocks):
    """Residual blocks of dilated convolutions: (B, T, H), for x, (B, T, inputs). The weights are (H, 3 H), tap by tap."""
    h = inputs(x).transpose(1, 2)
    for number, block in enumerate(blocks):
        dilation = 2**number
        taps = block.weight.unflatten(1, (3, -1)).transpose(1, 2)
        padding = (2 * dilation, 0) if causal else (dilation, dilation)
        read = F.pad(torch.relu(h) * counted.unsqueeze(1), padding)
        h = h + F.conv1d(read, taps, block.bias, dilation=dilation)
    return h.transpose(1, 2)
"#;

const BACKWARDS: &str = r#"
def backwards(tokens, lengths):
    """Each sentence from its end on."""
    positions = lengths.unsqueeze(1) - 1 - torch.arange(tokens.shape[1], device=tokens.device)
    return tokens.gather(1, positions.clamp(min=0))
"#;

/// Those that a class uses.
pub(super) fn of(class: &str) -> String {
    let used = HELPERS.iter().filter(|(needed, _)| class.contains(needed));
    used.map(|(_, helper)| format!("\n{helper}")).collect()
}
