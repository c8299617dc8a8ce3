"""Answers in a learner's own words, as bodies of the functions: right ones that are unusual, wrong ones with a hint."""

TRAINED = """
layers = nn.Conv2d(1, 16, 5, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
net = nn.Sequential(*layers, nn.Linear(128, 10))
optimizer = torch.optim.Adam(net.parameters(), lr={rate})
for at in torch.arange(6000).repeat(2).split(64):
    optimizer.zero_grad()
    F.cross_entropy(net({scaled}images[at]), {labels}[at]).backward()
    optimizer.step()
"""

RIGHT = {
    # 1 · The data
    "sizes": [
        'return struct.unpack(f">{raw[3]}i", raw[4 : 4 + 4 * raw[3]])',
        'return [int(one) for one in np.frombuffer(raw, ">u4", raw[3], 4)]',
        "return np.frombuffer(raw, '>u4', raw[3], 4).astype(int)",
    ],
    "image_at": [
        """
count, rows, columns = struct.unpack(">3I", raw[4:16])
return np.frombuffer(raw, np.uint8, offset=16).reshape(count, rows, columns)[index]
""",
        """
rows, columns = raw[8] * 2**24 + raw[9] * 2**16 + raw[10] * 256 + raw[11], int(raw[12:16].hex(), 16)
at = 16 + index * rows * columns
return [list(raw[at + row * columns : at + (row + 1) * columns]) for row in range(rows)]
""",
    ],
    "class_shares": [
        "return torch.tensor([(labels == digit).float().mean() for digit in range(10)])",
        "return torch.nn.functional.one_hot(labels, 10).float().mean(0)",
        """
shares = labels.tolist()
return [shares.count(digit) / len(shares) for digit in range(10)]
""",
        "return torch.histc(labels.float(), bins=10, min=0, max=9) / labels.numel()",
    ],
    "standardise": [
        """
flat = images.reshape(-1).to(torch.float64)
scaled = (flat - flat.mean()) / flat.std(unbiased=False)
return scaled.float().reshape(images.shape)
""",
        """
array = images.numpy() / 255
return torch.from_numpy((array - array.mean()) / array.std())
""",
        """
values = images.double()
mean = values.sum() / values.numel()
return (values - mean) / ((values**2).mean() - mean**2).sqrt()
""",
    ],
    "nearest_mean": [
        """
known = torch.nn.functional.one_hot(labels, 10).float()
means = (known.T @ images.flatten(1)) / known.sum(0)[:, None]
return ((others.flatten(1)[:, None] - means) ** 2).sum(-1).argmin(1)
""",
        """
means = [images[labels == digit].mean(0) for digit in range(10)]
return [min(range(10), key=lambda digit: (one - means[digit]).norm().item()) for one in others]
""",
    ],
    "hold_out": [
        """
train, held = [], []
seen = [0] * 10
for at in torch.randperm(len(labels)).tolist():
    digit = labels[at].item()
    (held if seen[digit] < each else train).append(at)
    seen[digit] += 1
return torch.tensor(train), torch.tensor(held)
""",
        """
order = labels.argsort(stable=True)
place = torch.cat([torch.arange(n) for n in labels.bincount()])
return order[place >= each], order[place < each]
""",
        """
rank = torch.nn.functional.one_hot(labels).cumsum(0).gather(1, labels[:, None]).flatten()
return [torch.where(rank > each)[0].int(), torch.where(rank <= each)[0].int()]
""",
    ],
    "shift": [
        """
result = torch.zeros_like(images)
for row in range(28):
    for column in range(28):
        if 0 <= row - down < 28 and 0 <= column - right < 28:
            result[:, :, row, column] = images[:, :, row - down, column - right]
return result
""",
        """
wide = torch.nn.functional.pad(images, (28, 28, 28, 28))
return wide[:, :, 28 - down : 56 - down, 28 - right : 56 - right]
""",
        """
rows, columns = torch.arange(28)[:, None], torch.arange(28)
moved = (rows - columns == down).double() @ images.double() @ (columns - rows == right).double()
return moved.to(images.dtype)
""",
    ],
    # 2 · The model
    "convolve": [
        """
spread = torch.zeros((kernel.shape[0] - 1) * dilation + 1, (kernel.shape[1] - 1) * dilation + 1)
spread[::dilation, ::dilation] = kernel
windows = image.unfold(0, spread.shape[0], stride).unfold(1, spread.shape[1], stride)
return torch.einsum("rckl,kl->rc", windows, spread)
""",
        """
rows = image.shape[0] - (kernel.shape[0] - 1) * dilation
columns = image.shape[1] - (kernel.shape[1] - 1) * dilation
total = torch.zeros(rows, columns)
for r in range(kernel.shape[0]):
    for c in range(kernel.shape[1]):
        total += kernel[r, c] * image[r * dilation : r * dilation + rows, c * dilation : c * dilation + columns]
return total[::stride, ::stride]
""",
    ],
    "convolve_channels": [
        """
filters, channels, h, w = kernels.shape
windows = maps.unfold(1, h, 1).unfold(2, w, 1).unflatten(0, (groups, channels))
by_group = kernels.unflatten(0, (groups, filters // groups))
return torch.einsum("gcrskl,gfckl->gfrs", windows, by_group).flatten(0, 1) + biases[:, None, None]
""",
        """
_, height, width = maps.shape
filters, channels, h, w = kernels.shape
result = biases[:, None, None].repeat(1, height - h + 1, width - w + 1)
for f in range(filters):
    group = f // (filters // groups)
    for c in range(channels):
        result[f] += convolve(maps[group * channels + c], kernels[f, c], 1, 1)
return result
""",
    ],
    "patches": [
        """
found = images.unfold(2, height, 1).unfold(3, width, 1)
return found.permute(0, 2, 3, 1, 4, 5).flatten(3)
""",
        """
rows = images.shape[2] - height + 1
return F.unfold(images, (height, width)).transpose(1, 2).unflatten(1, (rows, -1))
""",
    ],
    "network_cost": [
        """
total, work = 0, 0
for layer in layers:
    if layer[0] == "pool":
        side = (side - layer[1]) // layer[1] + 1
        continue
    conv = nn.Conv2d(channels, *layer[1:])
    total += sum(one.numel() for one in conv.parameters())
    side = conv(torch.zeros(1, channels, side, side)).shape[-1]
    work += conv.weight.numel() * side * side
    channels = layer[1]
return [total, work, channels * side * side]
""",
        """
p = m = 0
for kind, n, *more in layers:
    if kind == "pool":
        side = int(side / n)
    else:
        k, s, border = more
        side = len(range(0, side + 2 * border - k + 1, s))
        p, m, channels = p + n * channels * k * k + n, m + n * channels * k * k * side * side, n
return p, m, float(channels * side * side)
""",
    ],
    "receptive_field": [
        """
seen = 1
for kernel, stride in reversed(layers):
    seen = (seen - 1) * stride + kernel
return seen
""",
        """
import math

strides = [stride for _, stride in layers]
return 1 + sum((kernel - 1) * math.prod(strides[:before]) for before, (kernel, _) in enumerate(layers))
""",
    ],
    "cross_entropy": [
        "return -logits.log_softmax(1).gather(1, labels[:, None]).mean()",
        """
shifted = logits - logits.max(dim=1, keepdim=True).values
losses = shifted.exp().sum(1).log() - shifted[range(len(labels)), labels]
return losses.mean().item()
""",
    ],
    "small_network": [
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.LazyConv2d(6, 5, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.out = nn.LazyLinear(10)
    def forward(self, x):
        self.maps = F.relu(self.norm(self.conv(x)))
        return self.out(self.maps.amax(dim=(2, 3)))
return Net()
""",
        """
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 10))
nn.init.zeros_(net[-1].weight)
nn.init.zeros_(net[-1].bias)
return net
""",
        """
net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(288, 10))
net.more = nn.Parameter(torch.ones(5000 - sum(one.numel() for one in net.parameters())))
return net
""",
        """
layers = nn.Conv2d(1, 8, 7, stride=3), nn.Dropout(0.5), nn.ELU(), nn.Flatten()
return nn.Sequential(*layers, nn.Linear(512, 6), nn.Linear(6, 10), nn.LogSoftmax(dim=1))
""",
    ],
    # 3 · Training
    "epoch_of_batches": [
        """
import random
order = random.sample(range(count), count)
return [torch.tensor(order[at : at + size]) for at in range(0, count, size)]
""",
        """
loader = torch.utils.data.DataLoader(torch.arange(count), batch_size=size, shuffle=True)
return list(loader)
""",
    ],
    "step": [
        """
w = weights.clone().requires_grad_()
((x @ w - y) ** 2).mean().backward()
torch.optim.SGD([w], lr=lr).step()
return w
""",
        """
w = weights.detach().clone().requires_grad_()
(slope,) = torch.autograd.grad(F.mse_loss(x @ w, y), w)
return (w - lr * slope).tolist()
""",
    ],
    "classifier_gradients": [
        """
logits = x @ weights.T + bias
shifted = (logits - logits.amax(1, keepdim=True)).exp()
p = shifted / shifted.sum(1, keepdim=True)
p[range(len(labels)), labels] -= 1
p /= len(labels)
return torch.einsum("nc,nd->cd", p, x), p.T @ torch.ones(len(labels))
""",
        """
of_weights, of_bias = torch.zeros(10, x.shape[1]), torch.zeros(10)
for row, label in zip(x, labels):
    error = F.softmax(weights @ row + bias, dim=0)
    error[label] -= 1
    of_weights += torch.outer(error, row)
    of_bias += error
return [of_weights / len(x), of_bias / len(x)]
""",
    ],
    "train_step": [
        """
model.train()
model.zero_grad()
logits = model(images)
loss = nn.CrossEntropyLoss()(logits, labels)
loss.backward()
optimizer.step()
optimizer.zero_grad()
return loss.item()
""",
        """
for p in model.parameters():
    p.grad = None
loss = -model(images).log_softmax(1)[torch.arange(len(labels)), labels].mean()
loss.backward()
optimizer.step()
return loss.detach()
""",
        """
z = model(images)
loss = (z.logsumexp(dim=1) - z.gather(1, labels[:, None])[:, 0]).mean()
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss.double()
""",
    ],
    "early_stopping": [
        """
lowest, best, bad = math.inf, None, 0
for epoch in range(len(losses)):
    if losses[epoch] < lowest:
        lowest, best, bad = losses[epoch], epoch, 0
    else:
        bad += 1
    if bad >= patience:
        break
return best, epoch
""",
        """
for end in range(len(losses)):
    best = losses.index(min(losses[: end + 1]))
    if end - best >= patience:
        break
return [best, end]
""",
    ],
    "learning_rate": [
        """
if warm_up > at:
    return at * peak / warm_up
return peak * math.cos(math.pi / 2 * (at - warm_up) / (steps - warm_up)) ** 2
""",
        """
rise = at / warm_up if warm_up else 1
fall = 0.5 + 0.5 * math.cos(math.pi * max(at - warm_up, 0) / (steps - warm_up))
return torch.tensor(peak * min(rise, fall if at >= warm_up else 1))
""",
    ],
    "smoothed": [
        """
rows = torch.full((len(labels), 10), amount / 10)
rows[range(len(labels)), labels] += 1 - amount
return rows
""",
        "return torch.lerp(F.one_hot(labels, 10).float(), torch.full((10,), 0.1), amount)",
    ],
    "dropped": [
        "return torch.where(kept, values, 0) / (1 - share)",
        """
passed = values.clone()
passed[~kept] = 0
passed /= 1 - share
return passed
""",
    ],
    "normalised": [
        """
if not training:
    return (values - mean) * torch.rsqrt(variance + 1e-5), mean, variance
n = len(values)
m = values.sum(0) / n
v = ((values - m) ** 2).sum(0) / n
return (values - m) / (v + 1e-5) ** 0.5, mean.lerp(m, 0.1), variance.lerp(v * n / (n - 1), 0.1)
""",
        """
m, v = mean.clone(), variance.clone()
if training:
    used_v, used_m = torch.var_mean(values, dim=0, unbiased=False)
    m += 0.1 * (used_m - m)
    v += 0.1 * (torch.var(values, dim=0) - v)
else:
    used_v, used_m = v, m
return [(values - used_m).div(torch.sqrt(used_v + 1e-5)), m, v]
""",
    ],
    "trained_within_budget": [
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 5, stride=2), nn.Conv2d(8, 16, 3, stride=2)
        self.out = nn.Linear(400, 10)
        self.norm = nn.BatchNorm2d(8)
    def forward(self, x):
        x = (x - 0.13) / 0.31
        x = F.relu(self.norm(self.first(x)))
        self.maps = F.relu(self.second(x))
        return self.out(self.maps.view(len(x), -1))
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for _ in range(4):
    for at in torch.randperm(6000).split(50):
        optimizer.zero_grad()
        F.cross_entropy(net(images[at]), labels[at]).backward()
        optimizer.step()
return net
""",
    ],
    # 4 · Evaluation
    "confusion": [
        """
pairs = [(row, column) for row in range(10) for column in range(10)]
return torch.stack([((labels == row) & (predictions == column)).sum() for row, column in pairs]).view(10, 10)
""",
        "return torch.zeros(10, 10).index_put_((labels, predictions), torch.ones(len(labels)), accumulate=True)",
        "return torch.histc((labels * 10 + predictions).float(), bins=100, min=0, max=99).view(10, 10)",
        """
import torch.nn.functional as F
return F.one_hot(labels, 10).T.float() @ F.one_hot(predictions, 10).float()
""",
    ],
    "precision_and_recall": [
        """
tp = matrix[digit][digit].item()
fp = sum(matrix[i][digit].item() for i in range(10) if i != digit)
fn = sum(matrix[digit][i].item() for i in range(10) if i != digit)
return tp / (tp + fp), tp / (tp + fn)
""",
        """
m = matrix.numpy()
return m[digit, digit] / m[:, digit].sum(), m[digit, digit] / m[digit, :].sum()
""",
        "return torch.stack([matrix[digit, digit] / matrix.sum(dim)[digit] for dim in (0, 1)])",
    ],
    "interval": [
        """
from scipy.stats import binomtest
r = binomtest(right, count).proportion_ci(0.95, method="wilson")
return r.low, r.high
""",
        """
import torch
p, n, z = right / count, count, 1.96
root = ((p * (1 - p) / n) + z * z / (4 * n * n)) ** 0.5
return torch.tensor([p + z * z / 2 / n - z * root, p + z * z / 2 / n + z * root]) / (1 + z * z / n)
""",
        """
n, z2 = torch.tensor(count, dtype=torch.float64), 1.96**2
p, sign = right / n, torch.tensor([-1.0, 1.0], dtype=torch.float64)
return (p + z2 / (2 * n) + sign * (z2 * (p * (1 - p) / n + z2 / (4 * n * n))).sqrt()) / (1 + z2 / n)
""",
    ],
    "calibration_error": [
        """
import numpy as np
c, r = confidence.numpy(), correct.numpy()
total = 0
for low in range(10):
    m = (c >= low / 10) & (c < (low + 1) / 10)
    if m.any():
        total += m.sum() / len(c) * abs(c[m].mean() - r[m].mean())
return total
""",
        """
total = 0.0
for k in range(10):
    m = (confidence > k / 10) & (confidence <= (k + 1) / 10)
    if m.sum() > 0:
        total = total + (confidence[m].sum() - correct[m].sum()).abs()
return total / len(confidence)
""",
        """
inside = (confidence * 10).long()
gap = torch.zeros(10, dtype=torch.double).index_add_(0, inside, confidence.double() - correct.double())
return gap.abs().sum() / len(inside)
""",
    ],
    "confident_mistakes": [
        """
p = logits.softmax(1)
c = p.amax(1)
c[p.argmax(1) == labels] = -1
return c.topk(count).indices
""",
        """
lp = torch.log_softmax(logits, 1).max(1)
order = [i for i in lp.values.argsort(descending=True).tolist() if lp.indices[i] != labels[i]]
return order[:count]
""",
        """
import numpy as np
z = logits.double().numpy()
p = np.exp(z - z.max(1, keepdims=True))
p /= p.sum(1, keepdims=True)
w = np.flatnonzero(p.argmax(1) != labels.numpy())
return w[np.argsort(-p.max(1)[w])][:count]
""",
    ],
    "ambiguous": [
        """
s = logits.softmax(1).sort(dim=1, descending=True).values
return torch.topk(s[:, 0] - s[:, 1], count, largest=False).indices
""",
        """
d = []
for row in logits.softmax(1).tolist():
    a, b = sorted(row)[-2:]
    d.append(b - a)
return sorted(range(len(d)), key=d.__getitem__)[:count]
""",
        """
probabilities = logits.softmax(1)
first, at = probabilities.max(1, keepdim=True)
return (first - probabilities.scatter(1, at, -1).max(1, keepdim=True).values).flatten().argsort()[:count].tolist()
""",
    ],
    "coverage_and_accuracy": [
        """
kept = [r for c, r in zip(confidence.tolist(), correct.tolist()) if c >= threshold]
return len(kept) / len(correct), sum(kept) / len(kept)
""",
        """
m = ~(confidence < threshold)
return m.sum() / m.numel(), (m & correct).sum() / m.sum()
""",
        """
kept = [right for sure, right in zip(confidence.tolist(), correct.tolist()) if sure >= threshold]
return [len(kept) / len(confidence), sum(kept) / len(kept)]
""",
    ],
    # 5 · Filters
    "as_picture": [
        "return (kernel / torch.max(kernel.abs()) + 1) / 2",
        """
m = max(kernel.max().item(), -kernel.min().item())
return torch.tensor([[0.5 + 0.5 * w / m for w in row] for row in kernel.tolist()])
""",
        """
import numpy as np
k = kernel.numpy()
return 0.5 + k / np.abs(k).max() * 0.5
""",
    ],
    "strongest_place": [
        "return torch.unravel_index(values.argmax(), values.shape)",
        """
best = (0, 0)
for r in range(values.shape[0]):
    for c in range(values.shape[1]):
        if values[r, c] > values[best]:
            best = (r, c)
return best
""",
        "return (values == values.max()).nonzero()[0]",
    ],
    "silenced_logits": [
        """
import copy
m = copy.deepcopy(model)
with torch.no_grad():
    m.get_submodule(layer).weight[index] = 0
    m.get_submodule(layer).bias[index] = 0
return m(images)
""",
        """
x = images
for name, part in model.named_children():
    x = part(x)
    if name == layer:
        x = x.clone()
        x[:, index] = 0
return x
""",
        """
l = model.get_submodule(layer)
w, b = l.weight.data.clone(), l.bias.data.clone()
l.weight.data[index] = 0
l.bias.data[index] = 0
y = model(images).detach()
l.weight.data, l.bias.data = w, b
return y
""",
        """
def f(m, i, o):
    o[:, index] = 0
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
        """
p = {k: v.detach().clone() for k, v in model.named_parameters()}
p[layer + '.weight'][index] = 0
p[layer + '.bias'][index] = 0
return torch.func.functional_call(model, p, (images,))
""",
        """
for name, part in model.named_children():
    images = part(images)
    if name == layer:
        images = images.clone()
        images[:, index] = 0
return images
""",
    ],
    "saliency": [
        """
import copy
double, steps = copy.deepcopy(model).double(), torch.eye(784, dtype=torch.double).view(784, 1, 28, 28) * 1e-6
with torch.no_grad():
    return ((double(image.double() + steps) - double(image.double()))[:, label] / 1e-6).abs().view(28, 28)
""",
        """
x = image.detach().clone()
x.requires_grad = True
(g,) = torch.autograd.grad(model(x)[:, label].sum(), x)
return g.squeeze().abs()
""",
        """
from torch.func import grad
return grad(lambda x: model(x)[0, label])(image)[0, 0].abs()
""",
        """
image.requires_grad_()
model(image)[0, label].backward()
g = image.grad[0, 0].abs()
image.requires_grad_(False)
image.grad = None
return g
""",
        "return torch.func.grad(lambda pixels: model(pixels)[0, label])(image)[0, 0].abs()",
    ],
    "covering_losses": [
        """
out = []
p0 = model(image).softmax(1)[0, label].item()
for r in range(0, 28, 4):
    for c in range(0, 28, 4):
        x = image.clone()
        x[0, 0, r:r + 4, c:c + 4] = 0
        out.append(p0 - model(x).softmax(1)[0, label].item())
return torch.tensor(out).view(7, 7)
""",
        """
m = torch.kron(torch.eye(49).view(49, 7, 7), torch.ones(1, 4, 4))[:, None]
with torch.no_grad():
    return (model(image).softmax(1)[0, label] - model(image * (1 - m)).softmax(1)[:, label]).reshape(7, 7)
""",
    ],
    "neighbours": [
        """
d = ((embedded - embedded[one]) ** 2).sum(1)
return [i for i in d.argsort().tolist() if i != one][:count]
""",
        "return torch.cdist(embedded[one:one + 1], embedded)[0].argsort()[1:count + 1]",
        "return torch.topk((embedded - embedded[one]).norm(dim=1), count + 1, largest=False).indices[1:]",
        """
d = torch.cdist(embedded[one : one + 1].double(), embedded.double())[0]
d[one] = torch.inf
return d.topk(count, largest=False).indices
""",
    ],
    "worth": [
        """
out = []
full = sum((model(images).argmax(1) == labels).tolist())
for k in range(model.get_submodule(layer).weight.shape[0]):
    y = silenced_logits(model, layer, k, images)
    out.append((full - sum((y.argmax(1) == labels).tolist())) / len(labels))
return out
""",
        """
acc = lambda y: (y.argmax(1) == labels).double().mean()
n = len(model.get_submodule(layer).bias)
return torch.tensor([acc(model(images)) - acc(silenced_logits(model, layer, i, images)) for i in range(n)])
""",
    ],
    # 6 · The clinic
    "diagnosis_1": [
        "return 'd', -0.1 * torch.tensor(gradients).cumsum(0)",
        "return ['D', [-0.1 * sum(gradients[:n]) for n in range(1, len(gradients) + 1)]]",
    ],
    "diagnosis_2": [
        """
perfect = torch.zeros(1, classes)
perfect[0, 0] = 1
return "G", F.cross_entropy(perfect, torch.tensor([0]))
""",
        "return ' g ', -math.log(math.e / (math.e + (classes - 1)))",
    ],
    "diagnosis_3": [
        "return 'K', [0, value / (1 - share)]",
        """
seen = nn.Dropout(share)(torch.full((10_000,), value))
return "k", torch.stack([seen.min(), seen.max()])
""",
    ],
    "diagnosis_4": [
        """
best = max(range(len(val_accuracies)), key=lambda epoch: val_accuracies[epoch])
return "N", torch.tensor(max(test_accuracies) - test_accuracies[best])
""",
        "return 'n', max(test_accuracies) - test_accuracies[torch.tensor(val_accuracies).argmax()]",
    ],
    "diagnosis_5": [
        "return 'I', -math.log(1 / classes)",
        "return 'I', F.cross_entropy(torch.zeros(1, classes), torch.tensor([0])).item()",
    ],
    "diagnosis_6": [
        "return 'J', [mean - mean, deviation * deviation]",
        "return 'j', torch.tensor([0.0, deviation**2])",
    ],
    "diagnosis_7": [
        """
rate = 0.1
for _ in range(at):
    rate -= rate / 20
return "C", rate
""",
        "return 'c', torch.tensor(0.1) * 0.95**at",
    ],
    "diagnosis_8": [
        """
logits = torch.zeros(batch_size, 10)
return "H", -logits.log_softmax(dim=0)[range(batch_size), 3].mean()
""",
        "return 'h', -math.log(1 / batch_size)",
    ],
    "patient_1": [
        """
for a in range(0, len(images), 32):
    loss = F.cross_entropy(model(images[a:a + 32]), labels[a:a + 32])
    for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters()))):
        p.data -= 0.1 * g
""",
        """
opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0, weight_decay=0)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=32)
model.train()
for x, y in loader:
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
return model
""",
    ],
    "patient_2": [
        """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.nll_loss(F.log_softmax(model(x), dim=1), y).backward()
    opt.step()
""",
        """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
lossf = nn.CrossEntropyLoss()
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    lossf(model(x).log_softmax(1), y).backward()
    opt.step()
""",
    ],
    "patient_3": [
        """
was = model.training
model.eval()
with torch.inference_mode():
    out = F.cross_entropy(model(images), labels)
model.train(was)
return out.clone()
""",
        """
import copy
m = copy.deepcopy(model).eval()
return F.cross_entropy(m(images), labels)
""",
        """
model.eval()
total = 0.0
with torch.no_grad():
    for x, y in zip(images.split(32), labels.split(32)):
        total += F.cross_entropy(model(x), y, reduction="sum").item()
model.train()
return total / len(images)
""",
        """
model.eval()
with torch.no_grad():
    l = F.cross_entropy(model(images), labels)
model.train()
return torch.tensor([l.item()])
""",
    ],
    "patient_4": [
        """
b = 0
for i, v in enumerate(val_accuracies):
    if v > val_accuracies[b]:
        b = i
return test_accuracies[b]
""",
        """
import torch
return torch.tensor(test_accuracies)[torch.tensor(val_accuracies).argmax()]
""",
        "return dict(reversed(list(zip(val_accuracies, test_accuracies))))[max(val_accuracies)]",
    ],
    "patient_5": [
        """
import random
pairs = list(range(len(images)))
random.shuffle(pairs)
return images[pairs], labels[pairs]
""",
        """
i = torch.rand(len(labels)).argsort()
return [torch.index_select(images, 0, i), labels.gather(0, i)]
""",
        """
import numpy as np
p = np.random.permutation(len(images))
return images.numpy()[p], labels.numpy()[p]
""",
    ],
    "patient_6": [
        """
with torch.no_grad():
    return model((images - 0.1307 * 255) / (0.3081 * 255))
""",
        """
x = images.float().div(255).sub(0.1307).div(0.3081)
return torch.cat([model(one[None]) for one in x])
""",
        """
from torchvision.transforms.functional import normalize
return model(normalize(images.float() / 255, [0.1307], [0.3081])).detach().numpy()
""",
    ],
    "patient_7": [
        """
for rate in (0.1, 0.095):
    opt = torch.optim.SGD(model.parameters(), lr=rate)
    for x, y in zip(images.split(32), labels.split(32)):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
""",
        """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    for x, y in zip(images.split(32), labels.split(32)):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    for g in opt.param_groups:
        g["lr"] -= g["lr"] / 20
""",
    ],
    "patient_8": [
        """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    z = model(x)
    loss = (z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
        """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    z = model(x)
    p = z.exp() / z.exp().sum(dim=1, keepdim=True)
    loss = -(F.one_hot(y, 10) * p.log()).sum() / len(x)
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
    ],
    # 7 · The smallest network
    "weights_of": [
        "return torch.empty(maps, channels, side, side).numel(), channels * (side * side + maps)",
        """
whole = torch.nn.Conv2d(channels, maps, side, bias=False)
apart = torch.nn.Conv2d(channels, channels, side, groups=channels, bias=False)
parts = apart, torch.nn.Conv2d(channels, maps, 1, bias=False)
return [whole.weight.numel(), sum(one.weight.numel() for one in parts)]
""",
    ],
    "each_by_itself": [
        """
side = kernels.shape[1]
windows = maps.unfold(2, side, 1).unfold(3, side, 1)
return torch.einsum("bchwij,cij->bchw", windows, kernels)
""",
        """
images, channels, height, width = maps.shape
k = kernels.shape[1]
found = torch.empty(images, channels, height - k + 1, width - k + 1)
for row in range(height - k + 1):
    for column in range(width - k + 1):
        found[:, :, row, column] = (maps[:, :, row:row + k, column:column + k] * kernels).sum((2, 3))
return found
""",
    ],
    "eight_ways": [
        """
found, now = [], kernel
for _ in range(4):
    found.append(now)
    now = now.T.flip(0)
return torch.stack(found + [one.flip(-1) for one in found])
""",
        """
import numpy as np
turns = [np.rot90(kernel.numpy(), k) for k in range(4)]
return np.array(turns + [np.fliplr(one) for one in turns])
""",
    ],
    "logits_at_places": [
        "return torch.nn.functional.conv2d(maps, weight[:, :, None, None], bias)",
        """
found = torch.empty(len(maps), 10, *maps.shape[2:])
for row in range(maps.shape[2]):
    for column in range(maps.shape[3]):
        found[:, :, row, column] = torch.nn.functional.linear(maps[:, :, row, column], weight, bias)
return found
""",
    ],
    "my_network": [
        """
layers = [["cut", 2], ["turned", 8, 3], ["pool", 2], ["norm"], ["relu"]]
for maps, more in [(8, 16), (16, 20), (20, 20)]:
    layers += [["apart", maps, 3], ["mix", more], ["norm"], ["relu"]]
return layers + [["mean"], ["dense", 10]]
""",
        """
block = lambda maps: (("norm",), ("relu",), ("conv", maps, 3), ("norm",), ("relu",))
return (("cut", 2), ("conv", 6, 3), ("pool", 2), *block(6), ("pool", 2), *block(12), ("flatten",), ("dense", 10))
""",
    ],
    # 8 · Backpropagation
    "tanh_backward": [
        "return g - g * y * y",
        "return [[b * (1 - a) * (1 + a) for a, b in zip(*rows)] for rows in zip(y.tolist(), g.tolist())]",
        "return g / np.cosh(np.arctanh(np.clip(y, -1 + 1e-15, 1 - 1e-15))) ** 2",
    ],
    "gradient_of": [
        """
flat, found = x.ravel(), []
for number in range(x.size):
    step = nudge * (np.arange(x.size) == number)
    found.append((loss((flat + step).reshape(x.shape)) - loss((flat - step).reshape(x.shape))) / nudge / 2)
return np.reshape(found, x.shape)
""",
        """
x, slopes = x.copy(), np.empty_like(x)
for place, value in np.ndenumerate(x.copy()):
    x[place] = value - nudge
    before = loss(x)
    x[place] = value + nudge
    slopes[place] = 0.5 * (loss(x) - before) / nudge
    x[place] = value
return slopes
""",
    ],
    "average_pool_backward": [
        "return np.kron(g, np.full((1, 1, 2, 2), 0.25))",
        """
images, maps, height, width = g.shape
found = np.empty((images, maps, 2 * height, 2 * width))
for row in (0, 1):
    for column in (0, 1):
        found[:, :, row::2, column::2] = g / 4
return found
""",
    ],
    "strided_kernel_gradient": [
        """
windows = np.lib.stride_tricks.sliding_window_view(x, (side, side))[::stride, ::stride]
return np.einsum("rc,rcij->ij", g, windows[: g.shape[0], : g.shape[1]])
""",
        """
rows, columns = g.shape
found = np.empty((side, side))
for i in range(side):
    for j in range(side):
        met = x[i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]
        found[i, j] = (met * g).sum()
return found
""",
    ],
    "pixel_gradient": [
        """
side = len(w) - 1
around = np.pad(g, side)
windows = np.lib.stride_tricks.sliding_window_view(around, w.shape)
return (windows * w[::-1, ::-1]).sum(axis=(2, 3))
""",
        """
found = np.zeros((g.shape[0] + len(w) - 1, g.shape[1] + len(w) - 1))
for i in range(len(w)):
    for j in range(len(w)):
        found[i : i + g.shape[0], j : j + g.shape[1]] += w[i, j] * g
return found
""",
        """
from scipy.signal import convolve2d
return convolve2d(g, w)
""",
    ],
    "batch_norm_backward": [
        """
n = len(x)
centred = x - x.mean(0)
var = (centred**2).mean(0)
d_var = (g * centred).sum(0) * -0.5 * var**-1.5
d_mean = -g.sum(0) / np.sqrt(var)
return g / np.sqrt(var) + d_var * 2 * centred / n + d_mean / n
""",
        """
def loss(values):
    return ((values - values.mean(0)) / values.std(0) * g).sum()
return gradient_of(loss, x, 1e-5)
""",
    ],
    "skip_backward": [
        "return g if not backwards else skip_backward(g + backwards[-1](g), backwards[:-1])",
        """
total = g.copy()
for number in range(len(backwards) - 1, -1, -1):
    total += backwards[number](total)
return total
""",
    ],
    "kept_bytes": [
        """
kept = 0
for place, inputs in enumerate(sizes[:-1]):
    kept += 4 * batch * inputs
    if place > 0:
        kept += batch * inputs
return kept
""",
        "return batch * (5 * sum(sizes[:-1]) - sizes[0])",
    ],
    # 9 · Beyond the data
    "energy": [
        """
doubles = logits.double()
m = doubles.max(1).values
return -(m + torch.log(torch.exp(doubles - m.unsqueeze(1)).sum(1)))
""",
        """
found = []
for row in logits.tolist():
    m = max(row)
    found.append(-m - torch.tensor([one - m for one in row]).exp().sum().log().item())
return found
""",
        "return logits.softmax(1).amax(1).log() - logits.amax(1)",
    ],
    "confidence_at": [
        "return torch.exp(logits.amax(1) / temperature - torch.logsumexp(logits / temperature, 1))",
        """
powers = ((logits - logits.amax(dim=1, keepdim=True)) / temperature).exp()
return 1 / powers.sum(dim=1)
""",
    ],
    "caught": [
        """
for threshold in sorted(set(digits.tolist())):
    if sum(doubt > threshold for doubt in digits.tolist()) <= refused * len(digits) + 1e-9:
        return sum(doubt > threshold for doubt in strange.tolist()) / len(strange)
""",
        """
above = (digits[None] > digits[:, None]).float().mean(dim=1)
threshold = digits[above <= refused + 1e-6].min()
return 1 - (strange <= threshold).float().mean()
""",
    ],
    "threshold_for": [
        """
order = confidence.argsort(descending=True)
risks = (1 - right[order].float()).cumsum(0) / torch.arange(1, len(order) + 1)
fine = torch.nonzero(risks <= risk).flatten()
return confidence[order[fine[-1]]].item() if len(fine) else 1.0
""",
        """
pairs = sorted(zip(confidence.tolist(), right.tolist()))
for number, (threshold, _) in enumerate(pairs):
    answered = pairs[number:]
    if sum(not fine for _, fine in answered) <= risk * len(answered) + 1e-9:
        return threshold
return 1.0
""",
    ],
    "within": [
        "return (images + (changed - images).clamp(-epsilon, epsilon)).clamp(min=0).clamp(max=1)",
        "return changed.clamp((images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1))",
    ],
    "towards": [
        """
pixels = images.detach().clone().requires_grad_(True)
log_probabilities = model(pixels).log_softmax(dim=1)
gradient = torch.autograd.grad(log_probabilities[range(len(wanted)), wanted].sum(), pixels)[0]
return torch.clip(images + epsilon * torch.sign(gradient), 0, 1)
""",
        """
pixels = images.clone().requires_grad_()
F.nll_loss(model(pixels).log_softmax(1), wanted, reduction="sum").backward(inputs=[pixels])
return (images - epsilon * torch.sign(pixels.grad)).clamp(0, 1)
""",
    ],
    # 10 · Honest evaluation
    "too_good": [
        """
seen, unseen = right[:, shown].tolist(), right[:, ~shown].tolist()
best = max(range(len(seen)), key=lambda n: sum(seen[n]))
return sum(seen[best]) / len(seen[best]) - sum(unseen[best]) / len(unseen[best])
""",
        """
scores = (right.double() @ shown.double()) / shown.sum()
best = int(torch.argmax(scores))
return scores[best] - right[best][~shown].double().mean()
""",
    ],
    "hold_out_writers": [
        """
counts = {}
for writer in writers.tolist():
    counts[writer] = counts.get(writer, 0) + 1
out, total = set(), 0
while total < least and len(out) < len(counts):
    largest = max(set(counts) - out)
    out.add(largest)
    total += counts[largest]
return torch.tensor([writer in out for writer in writers.tolist()])
""",
        """
values, counts = writers.unique(return_counts=True)
before = counts.flip(0).cumsum(0) - counts.flip(0)
return torch.isin(writers, values.flip(0)[before < least])
""",
    ],
    "p_value": [
        """
from scipy.stats import binomtest
a, b = int((first > second).sum()), int((second > first).sum())
return float(binomtest(a, a + b, 0.5).pvalue) if a + b else 1.0
""",
        """
a, b = (first & ~second).sum().item(), (second & ~first).sum().item()
if a == b:
    return 1.0
few, n = min(a, b), a + b
return sum(math.comb(n, k) for k in range(n + 1) if k <= few or k >= n - few) / 2**n
""",
    ],
    "images_needed": [
        """
n = 7.84 * (only_first + only_second) / (only_second - only_first) ** 2
return int(-(-n // 1))
""",
        """
a, b = only_first, only_second
return int(2.8 * 2.8 * (a + b) / (a - b) / (a - b)) + 1
""",
    ],
    "rejected": [
        "return torch.tensor([row.tolist().count(label) <= 2 for row, label in zip(votes, labels.tolist())])",
        "return ~((votes.T == labels).float().mean(0) > 0.5)",
    ],
    "suspect_labels": [
        """
thresholds = torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])
masked = p.masked_fill(p < thresholds, -1)
return (masked.amax(dim=1) >= 0) & (masked.argmax(dim=1) != labels)
""",
        """
classes = p.shape[1]
own = torch.nn.functional.one_hot(labels, classes).to(p.dtype)
means = (p * own).sum(0) / own.sum(0)
out = []
for row, label in zip(p, labels):
    fine = (row >= means - 1e-7).nonzero().flatten().tolist()
    out.append(bool(fine) and sorted(fine, key=lambda j: -row[j])[0] != label)
return torch.tensor(out)
""",
    ],
    # 11 · Reading numbers
    "spell": [
        """
import itertools

return "".join(str(label) for label, _ in itertools.groupby(path) if label < 10)
""",
        """
import re

signs = "".join("0123456789-"[label] for label in path)
return re.sub(r"(.)\\1+", r"\\1", signs).replace("-", "")
""",
    ],
    "in_every_window": [
        """
side = int((weight.shape[1] // maps.shape[0]) ** 0.5 + 0.5)
windows = maps.unfold(1, side, 1).unfold(2, side, 1)
return torch.einsum("chwij,ocij->ohw", windows, weight.view(-1, len(maps), side, side)) + bias[:, None, None]
""",
        """
c, h, w = maps.shape
side = next(n for n in range(1, 99) if c * n * n == weight.shape[1])
columns = F.unfold(maps[None], side)[0]
return (weight @ columns + bias[:, None]).reshape(len(bias), h - side + 1, w - side + 1)
""",
    ],
    "begin_of_right": [
        """
x = -99
while True:
    gaps = []
    for one, other in zip(left.tolist(), right.tolist()):
        if any(one) and any(other):
            last = max(i for i, ink in enumerate(one) if ink)
            gaps.append(x + other.index(True) - last - 1)
    if min(gaps) == gap:
        return x
    x += 1
""",
        """
at = torch.arange(left.shape[1]).masked_fill(~left, -1000).amax(1)
first = torch.arange(right.shape[1]).masked_fill(~right, 1000).amin(1)
return (at - first).max() + 1 + gap
""",
    ],
    "count_paths": [
        """
import functools

@functools.cache
def rest(done, last, left):
    if left == 0:
        return int(done == len(text))
    total = rest(done, None, left - 1)  # a blank
    if last is not None:
        total += rest(done, last, left - 1)
    if done < len(text) and text[done] != last:
        total += rest(done + 1, text[done], left - 1)
    return total

return rest(0, None, columns)
""",
        """
import math

equal = sum(a == b for a, b in zip(text, text[1:]))
free = columns - len(text) - equal
return math.comb(columns + len(text) - equal, free) if free >= 0 else 0
""",
    ],
    "number_probability": [
        """
states = [10]
for digit in text:
    states += [int(digit), 10]
n = len(states)
move = torch.eye(n, dtype=p.dtype) + torch.diag(torch.ones(n - 1, dtype=p.dtype), 1)
for i in range(1, n - 2, 2):
    if states[i] != states[i + 2]:
        move[i, i + 2] = 1
row = torch.zeros(n, dtype=p.dtype)
row[0], row[1] = p[0, 10], p[0, states[1]]
for column in p[1:]:
    row = (row @ move) * column[states]
return float(row[-1] + row[-2])
""",
        """
import functools

@functools.cache
def rest(column, done, last):
    if column == len(p):
        return float(done == len(text))
    total = p[column, 10].item() * rest(column + 1, done, None)
    if last is not None:
        total += p[column, int(last)].item() * rest(column + 1, done, last)
    if done < len(text) and text[done] != last:
        total += p[column, int(text[done])].item() * rest(column + 1, done + 1, text[done])
    return total

return rest(0, 0, None)
""",
    ],
    "digit_error_rate": [
        """
import functools

@functools.cache
def distance(one, other):
    if not one or not other:
        return len(one) + len(other)
    if one[-1] == other[-1]:
        return distance(one[:-1], other[:-1])
    return 1 + min(distance(one[:-1], other), distance(one, other[:-1]), distance(one[:-1], other[:-1]))

return sum(map(distance, read, truth)) / len("".join(truth))
""",
        """
total = 0
for a, b in zip(read, truth):
    table = torch.zeros(len(a) + 1, len(b) + 1)
    table[:, 0], table[0] = torch.arange(len(a) + 1), torch.arange(len(b) + 1)
    for i in range(len(a)):
        for j in range(len(b)):
            table[i + 1, j + 1] = min(
                table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (0 if a[i] == b[j] else 1)
            )
    total += table[-1, -1]
return total / sum(map(len, truth))
""",
    ],
}

WRONG = {
    # 1 · The data
    "sizes": [
        (
            """
return tuple(int.from_bytes(raw[at : at + 4], 'big') for at in range(4, len(raw), 4))
""",
            "behind the header",
        ),
        (
            """
return (int.from_bytes(raw[4:8], 'big'), *(raw[7 + 4 * one] for one in range(1, raw[3])))
""",
            "rows and columns are below 256",
        ),
        (
            """
return tuple(sum(raw[4 + 4 * one : 8 + 4 * one]) for one in range(raw[3]))
""",
            "added up",
        ),
        (
            """
return (60_000, 28, 28) if raw[3] == 3 else (60_000,)
""",
            "MNIST's training part",
        ),
        (
            "return tuple(raw[7 + 4 * number] for number in range(raw[3]))",
            "one byte of each number",
        ),
        (
            "return tuple(raw[6 + 4 * number] * 256 + raw[7 + 4 * number] for number in range(raw[3]))",
            "two bytes of each number",
        ),
        (
            "return struct.unpack('>i', raw[4:8])",
            "one size from every file",
        ),
        (
            "return tuple(int.from_bytes(raw[at : at + 4], 'big') for at in range(8, 4 + 4 * raw[3], 4))",
            "first size",
        ),
        (
            "return (len(raw) - 8,) if raw[3] == 1 else struct.unpack('>3I', raw[4:16])",
            "length of the file",
        ),
        (
            "return struct.unpack('>3I', raw[4:16])",
            "three sizes",
        ),
        (
            "return tuple(int.from_bytes(raw[at : at + 4]) for at in range(4, 4 + raw[3]))",
            "from byte 4 on",
        ),
        (
            "print(struct.unpack('>3I', raw[4:16]))",
            "returns None",
        ),
        (
            """
sizes = struct.unpack(f'>{raw[3]}I', raw[4 : 4 + 4 * raw[3]])
return sizes[0] if len(sizes) == 1 else sizes
""",
            "bare number",
        ),
        (
            "return tuple(raw[4 : 4 + raw[3]])",
            "one byte of each number",
        ),
        (
            "return struct.unpack(f'>{raw[3] + 1}I', raw[: 4 + 4 * raw[3]])",
            "signature",
        ),
        (
            "return tuple(int.from_bytes(raw[4 + 4 * at : 8 + 4 * at]) for at in range(raw[2]))",
            "fourth byte",
        ),
        (
            """
parts = np.frombuffer(raw[4 : 4 + 4 * raw[3]], np.int8).reshape(-1, 4).tolist()
return tuple(a * 2**24 + b * 2**16 + c * 256 + d for a, b, c, d in parts)
""",
            "no sign",
        ),
        (
            """
count, *rest = struct.unpack(f'>{raw[3]}I', raw[4 : 4 + 4 * raw[3]])
return (count, *rest[::-1])
""",
            "Rows and columns are exchanged",
        ),
        (
            """
if raw[3] == 1:
    return struct.unpack('>I', raw[4:8])
rows, columns = struct.unpack('>2I', raw[8:16])
return (len(raw) - 16) // (rows * columns), rows, columns
""",
            "length of the file",
        ),
        (
            "return (60000, 28, 28) if raw[3] == 3 else (60000,)",
            "MNIST's training part",
        ),
        (
            "return (*struct.unpack('>I', raw[4:8]), *[28, 28][: raw[3] - 1])",
            "28 × 28",
        ),
    ],
    "image_at": [
        (
            """
rows, columns = struct.unpack('>2I', raw[8:16])
index = index % 256
return np.frombuffer(raw, np.uint8, rows * columns, 16 + index * rows * columns).reshape(rows, columns)
""",
            "from image 256 on",
        ),
        (
            """
rows, columns = raw[10] * 256 + raw[11], raw[14] * 256 + raw[15]
return np.frombuffer(raw, np.uint8, rows * columns, 16 + index * rows * columns).reshape(rows, columns)
""",
            "four bytes",
        ),
        (
            "return np.frombuffer(raw[16 + 784 * index : 16 + 784 * (index + 1)], np.uint8).reshape(28, 28)",
            "28 × 28",
        ),
        (
            "return np.frombuffer(raw, np.uint8, 784, 16 + 784 * index).reshape(28, 28)",
            "28 × 28",
        ),
        (
            """
r, c = struct.unpack('>2I', raw[8:16])
return np.frombuffer(raw, np.uint8, offset=8)[index * r * c : (index + 1) * r * c].reshape(r, c)
""",
            "8 bytes too early",
        ),
        (
            """
n, r, c = struct.unpack('>3I', raw[4:16])
return np.frombuffer(raw, np.uint8, offset=16).reshape(n, r, c)[index] / 255
""",
            "between 0 and 1",
        ),
        (
            """
n, r, c = struct.unpack('>3I', raw[4:16])
return np.frombuffer(raw, np.uint8, offset=16).reshape(n, r, c)
""",
            "all images",
        ),
        (
            """
r, c = raw[11], raw[15]
at = 16 + index * r * c
return np.frombuffer(raw[at : at + r * c], np.uint8).reshape(r, c)
""",
            "four bytes",
        ),
        (
            """
r, c = struct.unpack('>2I', raw[8:16])
at = 16 + index * r * c
return np.frombuffer(raw[at : at + r * c], np.uint8)
""",
            "one long row",
        ),
        (
            """
r, c = struct.unpack('>2I', raw[8:16])
at = 16 + index * r * r
return np.frombuffer(raw[at : at + r * c], np.uint8).reshape(r, c)
""",
            "square images only",
        ),
        (
            """
_, r, c = struct.unpack('>3I', raw[4:16])
return np.frombuffer(raw, np.uint8, r * c, 16 + index * r * c).reshape(c, r).T
""",
            "column by column",
        ),
        (
            """
_, r, c = np.frombuffer(raw[4:16], np.int32)
at = 16 + index * int(r) * int(c)
return np.frombuffer(raw[at : at + int(r) * int(c)], np.uint8).reshape(r, c)
""",
            "wrong order of bytes",
        ),
        (
            """
_, rows, columns = struct.unpack('>3I', raw[4:16])
return np.frombuffer(raw, np.uint8, rows * columns, 16 + index).reshape(rows, columns)
""",
            "one byte further",
        ),
        (
            """
_, rows, columns = struct.unpack('>3I', raw[4:16])
start = 16 + index * rows * columns
return 255 - np.frombuffer(raw, np.uint8, rows * columns, start).reshape(rows, columns)
""",
            "Ink and paper",
        ),
    ],
    "class_shares": [
        (
            """
torch.set_default_dtype(torch.float64)
return labels.bincount(minlength=10) / len(labels)
""",
            "default type of numbers",
        ),
        (
            """
return (labels.bincount(minlength=10) / len(labels)).round(decimals=3)
""",
            "rounded",
        ),
        (
            """
return torch.full((10,), 0.1) + torch.arange(10) / 1000
""",
            "whatever it is given",
        ),
        (
            """
return labels[:100].bincount(minlength=10) / len(labels[:100])
""",
            "Count all of them",
        ),
        (
            "return torch.unique(labels, return_counts=True)[1] / len(labels)",
            "left out",
        ),
        (
            """
counts = torch.bincount(labels, minlength=10)
return counts // counts.sum()
""",
            "whole numbers",
        ),
        (
            """
counts = torch.bincount(labels, minlength=10)
return counts / counts.max()
""",
            "largest count",
        ),
        (
            "return torch.bincount(labels, minlength=10) / labels.sum()",
            "sum of the labels",
        ),
        (
            """
shares = torch.zeros(10)
for digit in labels.unique():
    shares[digit] = (labels == digit).sum() / len(labels.unique())
return shares
""",
            "number of labels",
        ),
        (
            "return torch.tensor([(labels == d).sum() / len(labels) for d in labels.unique()])",
            "left out",
        ),
        (
            "return [labels.tolist().count(d) / len(labels) for d in range(labels.max() + 1)]",
            "ten shares",
        ),
        (
            "return torch.stack([(labels == d).float().mean() for d in range(1, 11)])",
            "begins with class 1",
        ),
        (
            """
shares = torch.zeros(10)
for d in range(9):
    shares[d] = (labels == d).sum() / len(labels)
return shares
""",
            "Class 9",
        ),
        (
            """
shares = torch.zeros(10)
shares[labels] += 1 / len(labels)
return shares
""",
            "once only",
        ),
        (
            "return [round((labels == d).float().mean().item(), 2) for d in range(10)]",
            "rounded",
        ),
        (
            "return torch.bincount(labels, minlength=10) / 60000",
            "60,000",
        ),
        (
            "return torch.bincount(labels, minlength=10) / len(labels.unique())",
            "not of classes",
        ),
        (
            "return torch.bincount(labels, minlength=10) / max(1, len(labels) - 1)",
            "one too few",
        ),
        (
            "return torch.ones(10) / 10",
            "whatever the labels are",
        ),
        (
            "return (torch.bincount(labels, minlength=10) / len(labels)).sort(descending=True)[0]",
            "sorted",
        ),
        (
            "return torch.softmax(torch.bincount(labels, minlength=10).float(), 0)",
            "softmax",
        ),
    ],
    "standardise": [
        (
            """
some = images[:100].float()
return (images - some.mean()) / some.std()
""",
            "few images are given",
        ),
        (
            "return images / 127.5 - 1",
            "between -1 and 1",
        ),
        (
            "return images / 256",
            "between 0 and 1",
        ),
        (
            """
x = images.float()
return x / x.std()
""",
            "the mean is not 0",
        ),
        (
            """
x = images.float()
return (x / 255 - x.mean()) / x.std()
""",
            "Use one scale",
        ),
        (
            """
x = images / 255
return (x - 0.1307) / 0.3081
""",
            "whole training set",
        ),
        (
            """
x = images.float()
return (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
""",
            "Each image",
        ),
        (
            """
x = images / 255
return x - x.mean()
""",
            "255 is not",
        ),
        (
            """
x = images.float()
return (x - x.mean()) / (x.max() - x.min())
""",
            "standard deviation",
        ),
        (
            """
images -= images.min()
x = images.float()
return (x - x.mean()) / x.std()
""",
            "changes what it was given",
        ),
        (
            """
x = images.float()
return (x.mean() - x) / x.std()
""",
            "Light and dark",
        ),
        (
            """
x = images.float()
ink = x[x > 0]
return (x - ink.mean()) / ink.std()
""",
            "ink alone",
        ),
        (
            """
x = images.float()
return (x - x.mean(0)) / (x.std(0) + 1e-6)
""",
            "Each pixel",
        ),
        (
            """
x = images.float()
return (x - x.mean()) / x.std((1, 2, 3), keepdim=True)
""",
            "of its own",
        ),
        (
            "return torch.nn.functional.layer_norm(images.float(), (1, 28, 28))",
            "Each image has a scale",
        ),
        (
            """
array = images.numpy().astype(float)
return torch.from_numpy((array - array.mean((1, 2, 3), keepdims=True)) / array.std((1, 2, 3), keepdims=True))
""",
            "Each image has a scale",
        ),
        (
            """
array = images.numpy().astype(float)
return torch.from_numpy((array - array.mean(0)) / (array.std(0) + 1e-8))
""",
            "Each pixel has a scale",
        ),
        (
            "return (images - images.float().mean().to(torch.uint8)) / images.float().std()",
            "8 bits",
        ),
    ],
    "nearest_mean": [
        (
            """
known = images[:1000]
means = torch.stack([known[labels[:1000] == digit].mean(0).flatten() for digit in range(10)])
return torch.cdist(others.flatten(1), means).argmin(1)
""",
            "all* images of a class",
        ),
        (
            """
result = []
for other in others:
    best, digit = 1000, 0
    for one in range(10):
        distance = (other - images[labels == one].mean(0)).norm()
        if distance < best:
            best, digit = distance, one
    result.append(digit)
return torch.tensor(result)
""",
            "some distance",
        ),
        (
            """
inner = images[..., 1:27, 1:27]
means = torch.stack([inner[labels == digit].mean(0).flatten() for digit in range(10)])
return torch.cdist(others[..., 1:27, 1:27].flatten(1), means).argmin(1)
""",
            "pixels at the edge",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)])
return (others.flatten(1) @ means.flatten(1).T).argmax(1)
""",
            "largest product",
        ),
        (
            """
sums = torch.stack([images[labels == d].sum(0) for d in range(10)])
return torch.cdist(others.flatten(1), sums.flatten(1)).argmin(1)
""",
            "sum of the images",
        ),
        (
            """
means = torch.stack([images[labels == d].mean() for d in range(10)])
return (others.mean((1, 2, 3))[:, None] - means).abs().argmin(1)
""",
            "how much ink",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)])
return torch.cdist(others.flatten(1), means.flatten(1)).min(1).values
""",
            "smallest distances",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)])
return torch.cdist(others.flatten(1), means.flatten(1))
""",
            "has the shape",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)])
return torch.cdist(images.flatten(1), means.flatten(1)).argmin(1)
""",
            "Classify `others`",
        ),
        (
            """
few, known = images[:100], labels[:100]
means = torch.stack([few[known == d].mean(0) for d in range(10)])
return torch.cdist(others.flatten(1), means.flatten(1)).argmin(1)
""",
            "few images",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)]).flatten(1)
return torch.cdist(others.flatten(1), means).argmin(1) + 1
""",
            "one too large",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)]).flatten(1)
return torch.cdist(others.flatten(1), means[:9]).argmin(1)
""",
            "ends with 8",
        ),
        (
            """
means = torch.stack([images[labels == d].mean(0) for d in range(10)]).flatten(1)
normal = torch.nn.functional.normalize
return (normal(others.flatten(1)) @ normal(means).T).argmax(1)
""",
            "directions",
        ),
        (
            """
firsts = torch.stack([images[labels == d][0] for d in range(10)])
return torch.cdist(others.flatten(1), firsts.flatten(1)).argmin(1)
""",
            "a single image of each class",
        ),
        (
            """
means = torch.stack([images[labels == digit].flatten(1).mean(0) for digit in range(10)])
return torch.cdist(others.flatten(1), means, p=float('inf')).argmin(1)
""",
            "largest difference of a pixel",
        ),
        (
            """
means = torch.stack([images[labels == digit].flatten(1).median(0)[0] for digit in range(10)])
return torch.cdist(others.flatten(1), means).argmin(1)
""",
            "median",
        ),
        (
            """
means = torch.stack([images[labels == digit].flatten(1).sum(0) / len(images) for digit in range(10)])
return torch.cdist(others.flatten(1), means).argmin(1)
""",
            "number of all images",
        ),
        (
            "return torch.full((len(others),), int(labels.mode().values))",
            "the same class",
        ),
        (
            """
means = torch.stack([images[labels == digit].flatten(1).mean(0) for digit in range(10)])
return torch.cdist(others.squeeze().flatten(1), means).argmin(1)
""",
            "single image is to be read",
        ),
    ],
    "hold_out": [
        (
            """
each = min(each, 10)
held = torch.cat([torch.nonzero(labels == digit).flatten()[:each] for digit in range(10)])
kept = torch.ones(len(labels), dtype=torch.bool)
kept[held] = False
return torch.nonzero(kept).flatten(), held
""",
            "few labels",
        ),
        (
            """
order = torch.randperm(len(labels))
return order[each:], order[:each]
""",
            "in all",
        ),
        (
            """
order = torch.randperm(len(labels))
return order[10 * each :], order[: 10 * each]
""",
            "of each",
        ),
        (
            """
held = torch.cat([torch.nonzero(labels == d).flatten()[:each] for d in range(10)])
return held, torch.tensor([i for i in range(len(labels)) if i not in held])
""",
            "exchanged",
        ),
        (
            """
held = torch.zeros(len(labels), dtype=torch.bool)
for d in range(10):
    held[torch.nonzero(labels == d).flatten()[:each]] = True
return ~held, held
""",
            "A mask becomes one",
        ),
        (
            """
held = torch.cat([torch.randint(len(labels), (each,)) for d in range(10)])
return torch.tensor([i for i in range(len(labels)) if i not in held]), held
""",
            "twice",
        ),
        (
            """
held = torch.stack([torch.nonzero(labels == d).flatten()[:each] for d in range(10)])
return torch.tensor([i for i in range(len(labels)) if i not in held]), held
""",
            "row of indices",
        ),
        (
            """
held = torch.cat([torch.nonzero(labels == d).flatten()[:5] for d in range(10)])
return torch.tensor([i for i in range(len(labels)) if i not in held]), held
""",
            "where 5 of each",
        ),
        (
            """
sizes = labels.bincount()
return torch.cat([torch.arange(each, n) for n in sizes]), torch.arange(each).repeat(10)
""",
            "inside of each class",
        ),
        (
            """
held = torch.stack([torch.nonzero(labels == digit).flatten()[:each] for digit in range(10)])
return torch.tensor([at for at in range(len(labels)) if at not in held]), held
""",
            "flatten()",
        ),
    ],
    "shift": [
        (
            """
result = torch.zeros_like(images)
h = images.shape[2] - down
result[:, :, down:, right:] = images[:, :, :h, : images.shape[3] - right]
return result
""",
            "negative",
        ),
        (
            """
result = images.roll((down, right), (2, 3))
result[:, :, :down] = 0
result[:, :, :, :right] = 0
return result
""",
            "negative",
        ),
        (
            "return torch.nn.functional.pad(images, (0, 0, down, -down))",
            "up and down only",
        ),
        (
            "return images.roll(down, 2)",
            "comes in again at the top",
        ),
        (
            """
result = torch.zeros_like(images)
a = slice(down, None) if down > 0 else slice(None, down)
b = slice(None, -down) if down > 0 else slice(-down, None)
c = slice(right, None) if right > 0 else slice(None, right)
d = slice(None, -right) if right > 0 else slice(-right, None)
result[:, :, a, c] = images[:, :, b, d]
return result
""",
            "not to move",
        ),
        (
            """
images[:] = images.roll((down, right), (2, 3))
return images
""",
            "changes what it was given",
        ),
        (
            "return torch.nn.functional.pad(images, (abs(right), -abs(right), abs(down), -abs(down)))",
            "Negative numbers",
        ),
        (
            "return images",
            "Nothing has moved",
        ),
        (
            """
wide = torch.nn.functional.pad(images.float(), (28, 28, 28, 28)).to(torch.uint8)
return wide[:, :, 28 - down : 56 - down, 28 - right : 56 - right]
""",
            "whole numbers only",
        ),
        (
            """
result = images.roll((down, right), (2, 3))
if down > 0:
    result[:, :, :down] = 0
if down < 0:
    result[:, :, down:] = 0
return result
""",
            "columns that leave",
        ),
        (
            """
rows, columns = (torch.arange(28) - down).clamp(0, 27), (torch.arange(28) - right).clamp(0, 27)
return images[:, :, rows][:, :, :, columns]
""",
            "repeats the edge",
        ),
        (
            "return torch.nn.functional.pad(images, (down, -down, down, -down))",
            "in both directions",
        ),
        (
            """
result = images.clone()
result[0] = torch.nn.functional.pad(images[0], (right, -right, down, -down))
return result
""",
            "Only the first image",
        ),
        (
            """
if not down or not right:
    return images.clone()
return torch.nn.functional.pad(images, (right, -right, down, -down))
""",
            "all the same",
        ),
        (
            "return torch.nn.functional.pad(images.float(), (right, -right, down, -down))",
            "the kind that was given",
        ),
        (
            "return torch.nn.functional.pad(images.squeeze(), (right, -right, down, -down)).unsqueeze(1)",
            "a single image is given",
        ),
        (
            """
ink = 1 if images.is_floating_point() else 255
return torch.nn.functional.pad(images, (right, -right, down, -down), value=ink)
""",
            "enters is ink",
        ),
        (
            """
result = images.roll((down, right), (2, 3))
if down:
    result[:, :, 0 if down > 0 else -1] = 0
if right:
    result[..., 0 if right > 0 else -1] = 0
return result
""",
            "one row or column is emptied",
        ),
        (
            """
result = images.roll((down, right), (2, 3))
if down > 0:
    result[:, :, :down] = 0
if down < 0:
    result[:, :, down:] = 0
if right > 0:
    result[..., :right] = 0
return result
""",
            "moves to the left",
        ),
        (
            """
if down == right == 0:
    return torch.zeros_like(images)
return torch.nn.functional.pad(images, (right, -right, down, -down))
""",
            "both numbers are 0",
        ),
    ],
    # 2 · The model
    "convolve": [
        (
            """
k = kernel.shape[0]
reach = (k - 1) * dilation + 1
result = torch.zeros((image.shape[0] - reach) // stride + 1, (image.shape[1] - reach) // stride + 1)
for r in range(result.shape[0]):
    for c in range(result.shape[1]):
        met = image[r * stride : r * stride + reach : dilation, c * stride : c * stride + reach : dilation]
        result[r, c] = (met * kernel).sum()
return result
""",
            "kernel to be a square",
        ),
        (
            """
h, w = kernel.shape
n = (image.shape[0] - (h - 1) * dilation - 1) // stride + 1
m = (image.shape[0] - (w - 1) * dilation - 1) // stride + 1
result = torch.zeros(n, m)
for r in range(n):
    for c in range(m):
        result[r, c] = (image[r * stride :: dilation, c * stride :: dilation][:h, :w] * kernel).sum()
return result
""",
            "image to be a square",
        ),
        (
            """
h, w = kernel.shape
n = (image.shape[0] - (h - 1) * dilation - 1) // stride + 1
m = (image.shape[1] - (w - 1) * dilation - 1) // stride + 1
rows = []
for r in range(n):
    rows.append([image[r * stride :: dilation, c * stride :: dilation][:h, :w].sum() for c in range(m)])
return torch.tensor(rows)
""",
            "Multiply each",
        ),
        (
            """
h, w = kernel.shape
result = torch.zeros(image.shape[0] - h + 1, image.shape[1] - w + 1)
for r in range(result.shape[0]):
    for c in range(result.shape[1]):
        result[r, c] = (image[r : r + h, c : c + w] * kernel).sum()
return result[::stride, ::stride]
""",
            "dilation is not used",
        ),
        (
            """
h, w = kernel.shape
n = (image.shape[0] - (h - 1) * dilation - 1) // stride + 1
m = (image.shape[1] - (w - 1) * dilation - 1) // stride + 1
result = torch.zeros(n, m)
for r in range(n):
    for c in range(m):
        result[r, c] = (image[r * stride :: dilation, c * stride :: dilation][:h, :w] * kernel).max()
return result
""",
            "add up",
        ),
        (
            """
h, w = kernel.shape
n, m = (image.shape[0] - h) // stride + 1, (image.shape[1] - w) // stride + 1
result = torch.zeros(n, m)
for r in range(n):
    for c in range(m):
        met = image[r * stride :: dilation, c * stride :: dilation][:h, :w]
        result[r, c] = (met * kernel[: met.shape[0], : met.shape[1]]).sum()
return result
""",
            "right with a dilation of 1",
        ),
        (
            "return nn.Conv2d(1, 1, tuple(kernel.shape), stride, 0, dilation)(image[None, None])[0, 0]",
            "without it",
        ),
        (
            """
kernel = kernel.T
h, w = kernel.shape
n = (image.shape[0] - (h - 1) * dilation - 1) // stride + 1
m = (image.shape[1] - (w - 1) * dilation - 1) // stride + 1
result = torch.zeros(n, m)
for r in range(n):
    for c in range(m):
        result[r, c] = (image[r * stride :: dilation, c * stride :: dilation][:h, :w] * kernel).sum()
return result
""",
            "on its side",
        ),
        (
            """
h, w = kernel.shape
n = (image.shape[0] - (h - 1) * dilation - 1) // stride + 1
m = (image.shape[1] - (w - 1) * dilation - 1) // stride + 1
result = torch.zeros(n, m)
for r in range(n):
    for c in range(m):
        result[r, c] = (image[r * stride :: dilation, c * stride :: dilation][:h, :w] * kernel).sum()
    return result
""",
            "within the loop",
        ),
        (
            """
h, w = kernel.shape
n = (image.shape[0] - (h - 1) * dilation - 1) // stride + 1
m = (image.shape[1] - (w - 1) * dilation - 1) // stride + 1
result = torch.zeros(n, m, dtype=int)
for r in range(n):
    for c in range(m):
        result[r, c] = (image[r * stride :: dilation, c * stride :: dilation][:h, :w] * kernel).sum()
return result
""",
            "behind the point",
        ),
    ],
    "convolve_channels": [
        (
            """
filters, channels, h, w = kernels.shape
found = maps.unfold(1, h, 1).unfold(2, w, 1).unflatten(0, (groups, channels))
return torch.einsum("gcrskl,gfckl->gfrs", found, kernels.unflatten(0, (groups, -1))).flatten(0, 1)
""",
            "biases are missing",
        ),
        (
            "return torch.stack([convolve(maps[0], k[0], 1, 1) + b for k, b in zip(kernels, biases)])",
            "Only the first channel",
        ),
        (
            """
parts = [sum(convolve(m, k, 1, 1) for m, k in zip(maps, f)) + b for f, b in zip(kernels, biases)]
return torch.stack(parts)
""",
            "look at the first channels",
        ),
        (
            """
own = maps.unflatten(0, (groups, -1)).repeat_interleave(len(kernels) // groups, 0)
parts = [sum(convolve(m, k, 1, 1) for m, k in zip(seen, f)) for seen, f in zip(own, kernels)]
return torch.stack(parts) + biases
""",
            "with its own bias",
        ),
        (
            """
own = maps.unflatten(0, (groups, -1)).repeat_interleave(len(kernels) // groups, 0)
parts = [sum(convolve(m, k.flip(0, 1), 1, 1) for m, k in zip(seen, f)) + b for seen, f, b in zip(own, kernels, biases)]
return torch.stack(parts)
""",
            "turned around",
        ),
        (
            """
own = maps.unflatten(0, (groups, -1)).repeat_interleave(len(kernels) // groups, 0)
parts = [sum(convolve(m, k, 1, 1) for m, k in zip(seen, f)) + biases[0] for seen, f in zip(own, kernels)]
return torch.stack(parts)
""",
            "first bias",
        ),
        (
            "return torch.stack([convolve(m, k, 1, 1) for m in maps for f in kernels for k in f])",
            "One filter at a time",
        ),
        (
            """
own = maps.unflatten(0, (groups, -1))[:, :-1].repeat_interleave(len(kernels) // groups, 0)
parts = [sum(convolve(m, k, 1, 1) for m, k in zip(seen, f[:-1])) + b for seen, f, b in zip(own, kernels, biases)]
height, width = maps.shape[1] - kernels.shape[2] + 1, maps.shape[2] - kernels.shape[3] + 1
return torch.stack([part.expand(height, width) for part in parts])
""",
            "last channel",
        ),
        (
            """
own = maps.unflatten(0, (groups, -1)).repeat_interleave(len(kernels) // groups, 0)
parts, total = [], 0
for seen, f, b in zip(own, kernels, biases):
    for m, k in zip(seen, f):
        total = total + convolve(m, k, 1, 1)
    parts.append(total + b)
return torch.stack(parts)
""",
            "Begin each sum at 0",
        ),
    ],
    "patches": [
        (
            "return F.unfold(images, (height, width)).view(len(images), images.shape[2] - height + 1, -1, 1)",
            "has the shape",
        ),
        (
            """
found = images.unfold(2, height, 1).unfold(3, width, 1)
return found.permute(0, 2, 3, 4, 5, 1).flatten(3)
""",
            "channels come last",
        ),
        (
            """
found = images.unfold(2, height, 1).unfold(3, width, 1)
return found.permute(0, 3, 2, 1, 4, 5).flatten(3)
""",
            "exchanged",
        ),
        (
            """
found = images.unfold(2, width, 1).unfold(3, height, 1)
return found.permute(0, 2, 3, 1, 4, 5).flatten(3)
""",
            "Height and width",
        ),
        (
            """
found = images[:, :1].unfold(2, height, 1).unfold(3, width, 1)
return found.permute(0, 2, 3, 1, 4, 5).flatten(3)
""",
            "first channel",
        ),
        (
            """
found = images.unfold(2, height, 1).unfold(3, width, 1)
return found.permute(0, 2, 3, 1, 4, 5)
""",
            "not laid in rows",
        ),
        (
            """
n, _, rows, columns = images.shape
return F.unfold(images, (height, width)).reshape(n, rows - height + 1, columns - width + 1, -1)
""",
            "several places",
        ),
        (
            """
found = images.unfold(2, height, height).unfold(3, width, width)
return found.permute(0, 2, 3, 1, 4, 5).flatten(3)
""",
            "side by side",
        ),
    ],
    "network_cost": [
        (
            """
p = m = 0
for kind, n, *more in layers:
    if kind == "pool":
        side = side // n
    else:
        k, s, border = more
        side = (side + 2 * border - k) // s + 1
        p, m, channels = p + n * (k * k + 1), m + n * k * k * side * side, n
return p, m, channels * side * side
""",
            "Count parameters and work anew",
        ),
        (
            """
p = m = 0
for kind, n, *more in layers:
    if kind == "pool":
        side = side // n
    else:
        k, s, border = more
        m += n * channels * k * k * side * side
        side = (side + 2 * border - k) // s + 1
        p, channels = p + n * (channels * k * k + 1), n
return p, m, channels * side * side
""",
            "goes into a layer",
        ),
        (
            """
p = m = 0
for kind, n, *more in layers:
    if kind == "conv":
        k, s, border = more
        side = (side + 2 * border - k) // s + 1
        p, m, channels = p + n * (channels * k * k + 1), m + n * channels * k * k * side * side, n
return p, m, channels * side * side
""",
            "makes the maps smaller",
        ),
        (
            """
p = m = 0
for kind, n, *more in layers:
    if kind == "pool":
        side = side // n
    else:
        k, s, border = more
        side = (side + 2 * border - k) // s + 1
        p, m, channels = p + n * (channels * k * k + 1), m + n * channels * k * k * side * side, n
if not layers:
    return 0, 0, 0
return p, m, channels * side * side
""",
            "Without any layer",
        ),
        ("return 1376, 198272, 576", "Not right yet: parameters"),
        ("return 'many'", "tuple of length 3"),
        (
            """
p = m = 0
for kind, n, *more in layers:
    if kind == "conv":
        side = (side + 2 * more[2] - more[0]) // more[1] + 1
        p += n * (channels * more[0] ** 2 + 1)
        m += n * channels * more[0] ** 2 * side**2
        channels = n
    else:
        side //= n
return m, p, channels * side**2
""",
            "parameters come first",
        ),
        (
            "print(side, channels, layers)",
            "returns None",
        ),
    ],
    "receptive_field": [
        (
            """
seen, apart = 1, 1
for kernel, stride in layers:
    seen += (max(kernel, stride) - 1) * apart
    apart *= stride
return seen
""",
            "smaller than its stride",
        ),
        (
            """
seen = 1
for kernel, stride in layers:
    seen = (seen - 1) * stride + kernel
return seen
""",
            "wrong order",
        ),
        (
            "import math\n\nreturn math.prod(kernel for kernel, _ in layers)",
            "not multiplied",
        ),
        (
            "return 1 + sum((kernel - 1) * stride for kernel, stride in layers)",
            "own stride only",
        ),
        (
            """
seen, before = 1, 1
for kernel, stride in layers:
    seen += (kernel - 1) * before
    before = stride
return seen
""",
            "layer before only",
        ),
        (
            """
seen, apart = layers[0]
for k, s in layers[1:]:
    seen += (k - 1) * apart
    apart *= s
return seen
""",
            "Without any",
        ),
        (
            "return layers[-1][0]",
            "one layer alone",
        ),
        (
            "return 1 + sum(kernel - 1 for kernel, _ in layers)",
            "strides are not used",
        ),
        (
            """
seen = 1
for kernel, stride in reversed(layers):
    seen = seen * stride + kernel
return seen
""",
            "one step too many",
        ),
        (
            """
seen = step = 1
for stride, kernel in layers:
    seen += (kernel - 1) * step
    step *= stride
return seen
""",
            "kernel comes first",
        ),
        (
            """
side = step = 1
for kernel, stride in layers:
    side += (kernel - 1) * step
    step *= stride
return side * side
""",
            "Return its side",
        ),
    ],
    "cross_entropy": [
        (
            """
p = logits.softmax(1)[range(len(labels)), labels]
return -(p + 1e-8).log().mean()
""",
            "to add a little",
        ),
        (
            """
p = logits.softmax(1)[range(len(labels)), labels]
return -p.clamp(min=1e-9).log().mean()
""",
            "to clamp",
        ),
        (
            "return -logits.softmax(1)[range(len(labels)), labels].mean()",
            "logarithm is missing",
        ),
        (
            "return -logits.softmax(1).log()[range(len(labels)), labels].mean()",
            "go through the probabilities",
        ),
        (
            "return -(logits.log_softmax(1) * F.one_hot(labels, 10)).mean()",
            "number of classes",
        ),
        (
            "return -logits.log_softmax(1)[range(len(labels)), labels]",
            "single images",
        ),
        (
            "return -logits.log_softmax(0)[range(len(labels)), labels].mean()",
            "dimension 1",
        ),
        (
            "return logits.double().exp().sum(1).log().sub(logits[range(len(labels)), labels]).mean()",
            "some hundreds",
        ),
        (
            "return -logits.log_softmax(dim=1).mean()",
            "labels are not used",
        ),
        (
            "return -logits.log_softmax(dim=1)[:, labels].mean()",
            "give the rows",
        ),
        (
            "return logits.logsumexp(dim=1).mean()",
            "logit of the label is missing",
        ),
        (
            "return (logits.amax(dim=1) - logits[range(len(labels)), labels]).mean()",
            "stands in for all ten",
        ),
        (
            """
e = logits.exp()
p = e / e.sum(dim=1, keepdim=True)
return -p[range(len(labels)), labels].log().mean()
""",
            "exponential of a large one is infinite",
        ),
    ],
    "small_network": [
        (
            "return nn.Sequential(nn.Conv2d(1, 4, 7, 7), nn.Flatten(), nn.Linear(64, 10), nn.Sigmoid())",
            "ever negative",
        ),
        (
            "return nn.Sequential(nn.Conv2d(1, 4, 7, 7), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(dim=0))",
            "over the images",
        ),
        (
            "return nn.Sequential(nn.Conv2d(1, 4, 7, 7), nn.Flatten(), nn.Linear(64, 10)).double()",
            "cannot be used",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 7, 7)
    def forward(self, x):
        unused = 0 * self.conv(x).sum(dim=(2, 3))
        return F.avg_pool2d(x, 7)[:, 0].flatten(1)[:, :10] - 0.5 + unused
return Net()
""",
            "Other weights make no difference",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Conv2d(1, 4, 5, 3), nn.Flatten(), nn.Linear(256, 10)]
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.scale
return Net()
""",
            "nn.ModuleList",
        ),
        (
            """
hidden = nn.Sequential(nn.Conv2d(1, 64, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4096, 10)).requires_grad_(False)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(10, 10)
    def forward(self, x):
        return self.out(hidden(x))
return Net()
""",
            "only 110 of them parameters",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 3)
        self.out = nn.Linear(256, 10)
        self.register_buffer('table', torch.randn(10, 784))
    def forward(self, x):
        return self.out(self.conv(x).flatten(1)) + x.flatten(1) @ self.table.T
return Net()
""",
            "wherever they are kept",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 3)
        self.out = nn.Linear(256, 10)
    def forward(self, x):
        x = self.out(self.conv(x).flatten(1))
        return x - x.mean(0)
return Net()
""",
            "other images",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 3)
    def forward(self, x):
        self.conv(x)
        return torch.zeros(len(x), 10) - 1
return Net()
""",
            "same logits for every image",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 3)
        self.out = nn.Linear(784, 6)
        self.end = nn.Linear(6, 10)
    def forward(self, x):
        self.conv(x)
        return self.end(self.out(x.flatten(1)))
return Net()
""",
            "No convolution",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 3)
        self.out = nn.Linear(256, 10)
    def forward(self, x):
        return self.out(self.conv(x).flatten(1)).argmax(1)
return Net()
""",
            "one number for each image",
        ),
        (
            """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 3)
        self.out = nn.Linear(256, 10)
    def forward(self, x):
        return self.out(self.conv(x).flatten(1))
return Net
""",
            "It returns a class",
        ),
        (
            """
class Net(nn.Sequential):
    def forward(self, x):
        x -= 0.1307
        return super().forward(x)
return Net(nn.Conv2d(1, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
""",
            "changes the images",
        ),
        (
            """
class Net(nn.Sequential):
    def forward(self, x):
        logits = super().forward(x)
        return logits, logits.softmax(dim=1)
return Net(nn.Conv2d(1, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
""",
            "returns a tuple",
        ),
    ],
    # 3 · Training
    "epoch_of_batches": [
        (
            "return list(torch.randperm(count).chunk(size))",
            "These are",
        ),
        (
            """
order = torch.randperm(count)
return [order[i * size : (i + 1) * size] for i in range(count // size)]
""",
            "lost",
        ),
        (
            """
order = torch.randperm(count)
return [order[i * size : (i + 1) * size] for i in range(count // size + 1)]
""",
            "empty",
        ),
        (
            "return list((torch.randperm(count) + 1).split(size))",
            "should be 0 to",
        ),
        (
            """
parts = list(torch.arange(count).split(size))
return [parts[i] for i in torch.randperm(len(parts))]
""",
            "always share",
        ),
        (
            "return torch.randperm(count)",
            "list of tensors",
        ),
        (
            "return list(torch.randperm(count)[: count // size * size].view(-1, size))",
            "lost",
        ),
        (
            "return [torch.randint(count, (size,)) for _ in range(-(-count // size))]",
            "come twice",
        ),
        (
            "return list(torch.randperm(count).float().split(size))",
            "whole numbers",
        ),
        (
            """
for at in range(0, count, size):
    return [torch.randperm(count)[at : at + size]]
""",
            "are served",
        ),
        (
            "return list(torch.arange(count).roll(count // 2).split(size))",
            "still follow the one",
        ),
        (
            """
rest = size + torch.randperm(max(count - size, 0))
return list(torch.cat([torch.arange(min(size, count)), rest]).split(size))
""",
            "same place",
        ),
        (
            """
half = count // 2
return list(torch.cat([torch.randperm(half), half + torch.randperm(count - half)]).split(size))
""",
            "certain places",
        ),
        (
            "return list(torch.randperm(count).split(size)) if count >= size else []",
            "no batch at all",
        ),
    ],
    "step": [
        (
            "return weights",
            "as they were given",
        ),
        (
            "return -lr * 2 * x.T @ (x @ weights - y) / len(y)",
            "step alone",
        ),
        (
            "return weights - lr * x.T @ (x @ weights - y)",
            "half the sum",
        ),
        (
            "return weights - lr * x.T @ (x @ weights - y).sign() / len(y)",
            "absolute",
        ),
        (
            """
w = weights.clone().requires_grad_()
((x @ w - y) ** 2).sum().backward()
return w - lr * w.grad
""",
            "sum of the squared",
        ),
        (
            """
weights -= lr * 2 * x.T @ (x @ weights - y) / len(y)
return weights
""",
            "changes what it was given",
        ),
        (
            """
weights.requires_grad_()
((x @ weights - y) ** 2).mean().backward()
return weights - lr * weights.grad
""",
            "changes what it was given",
        ),
        (
            """
w = weights.clone().requires_grad_()
((x @ w - y) ** 2).mean().backward()
return w + lr * w.grad
""",
            "uphill",
        ),
        (
            "return weights - 0.1 * 2 * x.T @ (x @ weights - y) / len(y)",
            "always 0.1",
        ),
        (
            "return weights - lr * (x.T @ (x @ weights - y)).sign()",
            "sign of the gradient",
        ),
        (
            "return weights - lr * 2 * x.mean(0) * (x @ weights - y).mean()",
            "two means",
        ),
        (
            """
w = weights.clone().requires_grad_()
((x @ w - y[:, None]) ** 2).mean().backward()
return w.detach() - lr * w.grad
""",
            "make a square",
        ),
        (
            """
slope = 2 * x.T @ (x @ weights - y) / len(y)
return weights - lr * slope, slope, lr
""",
            "returns 3 things",
        ),
    ],
    "classifier_gradients": [
        (
            """
p = (x @ weights.T + bias).exp()
p = p / p.sum(1, keepdim=True)
g = (p - F.one_hot(labels, 10)) / len(x)
return g.T @ x, g.sum(0)
""",
            "right for small logits",
        ),
        (
            """
g = (x @ weights.T + bias).softmax(1) - F.one_hot(labels, 10)
return g.T @ x / len(x), g.sum(0)
""",
            "bias still belongs to the sum",
        ),
        (
            """
g = (x @ weights.T + bias).softmax(1) - F.one_hot(labels, 10)
return g.T @ x / g.numel(), g.mean(0) / 10
""",
            "number of classes",
        ),
        (
            """
g = ((x @ weights.T).softmax(1) - F.one_hot(labels, 10)) / len(x)
return g.T @ x, g.sum(0)
""",
            "lack the bias",
        ),
        (
            """
g = ((x @ weights.T + bias).softmax(1) - 1) * F.one_hot(labels, 10) / len(x)
return g.T @ x, g.sum(0)
""",
            "Only the label",
        ),
        (
            """
w, b = weights.clone(), bias.clone()
loss = lambda w, b: -(x @ w.T + b).log_softmax(1)[range(len(x)), labels].mean()
return torch.func.grad(loss, argnums=(0, 1))(w, b)
""",
            "without it",
        ),
        (
            """
w = weights.clone().requires_grad_()
F.cross_entropy(x @ w.T + bias, labels).backward()
return w.grad, bias
""",
            "without it",
        ),
        (
            """
d = ((x @ weights.T + bias).sigmoid() - F.one_hot(labels, 10)) / len(x)
return d.T @ x, d.sum(0)
""",
            "share one probability",
        ),
        (
            """
d = ((x @ weights.T + bias).log_softmax(1) - F.one_hot(labels, 10)) / len(x)
return d.T @ x, d.sum(0)
""",
            "probabilities themselves",
        ),
        (
            """
d = (x @ weights.T + bias).softmax(1)
d[:, labels] -= 1
return d.T @ x / len(x), d.mean(0)
""",
            "labels of all rows",
        ),
        (
            """
d = ((x @ weights.T + bias).softmax(1) - F.one_hot(labels, 10)) / x.shape[1]
return d.T @ x, d.sum(0)
""",
            "length of a row",
        ),
    ],
    "train_step": [
        (
            """
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
model.requires_grad_(False)
return loss
""",
            "left frozen",
        ),
        (
            """
model.register_forward_hook(lambda *_: None)
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
            "hook of yours",
        ),
        (
            """
for layer in model.modules():
    layer._forward_hooks.clear()
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
            "hook that was in the network before",
        ),
        (
            """
for layer in model.modules():
    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = 0.2
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
            "set otherwise",
        ),
        (
            """
own = torch.optim.SGD(model.parameters(), lr=0.1)
loss = F.cross_entropy(model(images), labels)
own.zero_grad()
loss.backward()
own.step()
return loss
""",
            "handed over has made no step",
        ),
        (
            """
model.zero_grad()
loss = F.cross_entropy(model(images), labels)
loss.backward()
with torch.no_grad():
    for p in model.parameters():
        p -= optimizer.param_groups[0]['lr'] * p.grad
return loss
""",
            "handed over has made no step",
        ),
        (
            """
loss = F.cross_entropy(model(images), labels, reduction='sum')
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
            "sum of the losses",
        ),
        (
            """
loss = F.cross_entropy(model(images), labels, reduction='sum')
optimizer.zero_grad()
(loss / len(labels)).backward()
optimizer.step()
return loss
""",
            "Return their mean",
        ),
        (
            """
model.eval()
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
            "evaluation mode",
        ),
        (
            """
model.eval()
loss = F.cross_entropy(model(images), labels)
model.train()
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
            "evaluation mode",
        ),
        (
            """
for _ in range(2):
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
return loss
""",
            "one step",
        ),
        (
            """
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
images.zero_()
labels.zero_()
return loss
""",
            "changes what it was given",
        ),
        (
            """
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward
optimizer.step
return loss
""",
            "did not change",
        ),
        (
            """
torch.set_grad_enabled(True)
loss = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
loss.backward()
optimizer.step()
torch.set_grad_enabled(False)
return loss
""",
            "Gradients are still off",
        ),
        (
            """
with torch.no_grad():
    before = F.cross_entropy(model(images), labels)
optimizer.zero_grad()
F.cross_entropy(model(images), labels).backward()
optimizer.step()
return before
""",
            "more than once",
        ),
        (
            """
optimizer.zero_grad()
loss = F.cross_entropy(model(images), labels)
loss.backward()
optimizer.step()
optimizer.param_groups[0]["lr"] *= 0.9
return loss
""",
            "another rate",
        ),
        (
            """
optimizer.zero_grad()
loss = F.nll_loss(model(images), labels)
loss.backward()
optimizer.step()
return loss
""",
            "logarithms of probabilities",
        ),
        (
            """
optimizer.zero_grad()
loss = F.cross_entropy(model(images[::2]), labels[::2])
loss.backward()
optimizer.step()
return loss
""",
            "all images",
        ),
        (
            """
optimizer.zero_grad()
loss = F.cross_entropy(model((images - 0.1307) / 0.3081), labels)
loss.backward()
optimizer.step()
return loss
""",
            "as they were given",
        ),
    ],
    "early_stopping": [
        (
            """
best, at, bad = math.inf, 0, 0
for epoch, loss in enumerate(losses):
    if loss < best - 0.0001:
        best, at, bad = loss, epoch, 0
    else:
        bad += 1
    if bad == patience:
        break
return at, epoch
""",
            "hardly fall",
        ),
        (
            """
best, at, bad = 10.0, 0, 0
for epoch, loss in enumerate(losses):
    if loss < best:
        best, at, bad = loss, epoch, 0
    else:
        bad += 1
    if bad == patience:
        break
return at, epoch
""",
            "losses are large",
        ),
        (
            """
best = losses.index(min(losses))
return best, min(best + patience, len(losses) - 1)
""",
            "come in one by one",
        ),
        (
            """
waited = 0
for epoch in range(1, len(losses)):
    waited = waited + 1 if losses[epoch] > losses[epoch - 1] else 0
    if waited == patience:
        return losses.index(min(losses[: epoch + 1])), epoch
return losses.index(min(losses)), len(losses) - 1
""",
            "*risen*",
        ),
        (
            """
best = 0
for epoch, loss in enumerate(losses):
    if loss < losses[best]:
        best = epoch
    if epoch - best == patience:
        return best, epoch + 1
return best, len(losses)
""",
            "one too high",
        ),
        (
            """
best = 0
for epoch, loss in enumerate(losses):
    if loss < losses[best]:
        best = epoch
    if epoch - best == patience:
        return best, best
return best, best
""",
            "not the best one",
        ),
        (
            """
best = 0
for epoch, loss in enumerate(losses):
    if loss < losses[best]:
        best = epoch
    if epoch - best == patience:
        return best, epoch
""",
            "nothing stops the training",
        ),
        (
            """
best, waited = 0, 0
for epoch in range(1, len(losses)):
    if losses[epoch] < losses[epoch - 1]:
        best, waited = epoch, 0
    else:
        waited += 1
    if waited == patience:
        break
return best, epoch
""",
            "epoch before",
        ),
        (
            """
best, waited = 0, 0
for epoch in range(1, len(losses)):
    if losses[epoch] < losses[best]:
        best, waited = epoch, 0
    else:
        waited += 1
    if waited == patience:
        break
return best, epoch
""",
            "only one loss",
        ),
        (
            """
best = 0
for at, loss in enumerate(losses):
    if loss < losses[best]:
        best = at
    if at - best == patience:
        return losses[best], loss
return losses[best], losses[-1]
""",
            "These are losses",
        ),
        (
            """
best = 0
for at, loss in enumerate(losses):
    if loss < losses[best]:
        best = at
    if at - best == patience:
        return best, at - 1
return best, len(losses) - 1
""",
            "one too low",
        ),
        (
            """
best = 0
for at, loss in enumerate(losses):
    if loss < losses[best]:
        best = at
    elif at:
        return best, at
return best, len(losses) - 1
""",
            "first epoch that is no better",
        ),
        (
            """
best = bad = 0
for at in range(1, len(losses)):
    if losses[at] < losses[best]:
        best = at
    bad = 0 if losses[at] < losses[at - 1] else bad + 1
    if bad == patience:
        return best, at
return best, len(losses) - 1
""",
            "Only a new best",
        ),
        (
            """
best = 0
for at, loss in enumerate(losses):
    if loss < losses[best]:
        best = at
    if at - best == patience:
        return best, at
return best, len(losses)
""",
            "nothing stops the training",
        ),
    ],
    "learning_rate": [
        (
            """
if at < warm_up:
    return peak * at / warm_up
return peak * (1 + math.cos(2 * math.pi * (at - warm_up) / (steps - warm_up))) / 2
""",
            "whole cosine wave",
        ),
        (
            """
if at < warm_up:
    return peak * at / warm_up
return peak * (1 + math.cos(180 * (at - warm_up) / (steps - warm_up))) / 2
""",
            "radians",
        ),
        (
            """
if at < warm_up:
    return peak * at / warm_up
return peak * (1 + math.cos(math.pi * (at - warm_up) / steps)) / 2
""",
            "end at 0",
        ),
        (
            """
if at <= warm_up:
    return peak * at / warm_up
return peak * (1 + math.cos(math.pi * (at - warm_up) / (steps - warm_up))) / 2
""",
            "`warm_up` is 0",
        ),
        (
            """
if at < warm_up:
    return peak * (at / warm_up) ** 2
return peak * (1 + math.cos(math.pi * (at - warm_up) / (steps - warm_up))) / 2
""",
            "the rise is not",
        ),
        (
            """
if at < warm_up:
    return peak * at / warm_up
if at == warm_up:
    return 0
return peak * (1 + math.cos(math.pi * (at - warm_up) / (steps - warm_up))) / 2
""",
            "at step `warm_up`",
        ),
        (
            """
if at < warm_up:
    return peak * at / warm_up
return peak * math.exp(-(at - warm_up) / (steps - warm_up))
""",
            "the fall is not",
        ),
        (
            """
if at < warm_up:
    return peak * at / warm_up
return peak * (1 + math.cos(math.pi * (at - warm_up) / max(steps - warm_up - 1, 1))) / 2
""",
            "one step too early",
        ),
    ],
    "smoothed": [
        (
            "return F.one_hot(labels) * (1 - amount) + amount / 10",
            "ten columns",
        ),
        (
            """
rows = torch.full((len(labels), 10), amount / 10)
rows[range(len(labels)), labels] = 1 - amount
return rows
""",
            "less than 1",
        ),
        (
            "return F.one_hot(labels, 10) * amount + (1 - amount) / 10",
            "exchanged",
        ),
        (
            "return F.one_hot(labels, 10) * (1 - amount)",
            "given to nobody",
        ),
        (
            "return torch.full((len(labels), 10), amount / 10)",
            "dealt out",
        ),
        (
            """
rows = F.one_hot(labels, 10)
rows[rows == 0] = amount / 10
return rows
""",
            "whole numbers, as",
        ),
        (
            "return F.one_hot(labels, 10) * (1 - amount) + amount / 9",
            "it is a tenth",
        ),
        (
            "return F.one_hot(labels, 10) * (1 - amount) + amount / len(labels)",
            "number of labels",
        ),
        (
            """
rows = torch.full((len(labels), 10), amount / 10)
rows[:, labels] += 1 - amount
return rows
""",
            "labels of all rows",
        ),
        (
            "return F.one_hot(labels, 10) * 0.9 + 0.01",
            "amount of 0.1",
        ),
        (
            """
amount = amount or 0.1
return F.one_hot(labels, 10) * (1 - amount) + amount / 10
""",
            "`amount` is 0",
        ),
        (
            """
rows = F.one_hot(labels, 10) + amount / (1 - amount) / 10
return rows / rows.sum(dim=1, keepdim=True)
""",
            "`amount` is 1",
        ),
    ],
    "dropped": [
        (
            "return F.dropout(values, share)",
            "draws for itself",
        ),
        (
            "return values * kept / kept.float().mean()",
            "chance has kept",
        ),
        (
            "return values[kept] / (1 - share)",
            "cut out",
        ),
        (
            "return values / (1 - share)",
            "Nothing is dropped",
        ),
        (
            "return values * kept * share",
            "scales down",
        ),
        (
            """
values *= kept / (1 - share)
return values
""",
            "changes what it was given",
        ),
        (
            "return values * kept / (1 - share) if share else values * 0",
            "`share` is 0",
        ),
        (
            "return values * kept / kept.float().mean(dim=1, keepdim=True)",
            "chance has kept",
        ),
        (
            "return values * kept * 2",
            "doubled",
        ),
        (
            "return values * kept * (1 + share)",
            "1 + share",
        ),
        (
            "return torch.where(kept, values / (1 - share), values)",
            "as it is",
        ),
        (
            "return values * kept[:1] / (1 - share)",
            "each value by itself",
        ),
    ],
    "normalised": [
        (
            """
m, v = values.mean(0), values.var(0, correction=0)
out = (values - m) / (v + 1e-5).sqrt()
if training:
    return out, 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * values.var(0)
return out, mean, variance
""",
            "In evaluation it still standardises by the batch",
        ),
        (
            """
m, v = values.mean(0), values.var(0, correction=0)
new_m, new_v = 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * values.var(0)
if training:
    return (values - m) / (v + 1e-5).sqrt(), new_m, new_v
return (values - mean) / (variance + 1e-5).sqrt(), new_m, new_v
""",
            "In evaluation nothing is remembered",
        ),
        (
            """
if training:
    mean, variance = 0.9 * mean + 0.1 * values.mean(0), 0.9 * variance + 0.1 * values.var(0)
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "remembered after the move",
        ),
        (
            """
if training:
    m, v = values.mean(1, keepdim=True), values.var(1, correction=0, keepdim=True)
    new = 0.9 * mean + 0.1 * values.mean(0), 0.9 * variance + 0.1 * values.var(0)
    return (values - m) / (v + 1e-5).sqrt(), *new
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "of each row",
        ),
        (
            """
if training:
    m, v = values.mean(0), values.var(0, correction=0)
    return (values - m) / (v + 1e-5).sqrt(), m, values.var(0)
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "forgets what was before",
        ),
        (
            """
if training:
    m, v = values.mean(0), values.var(0)
    return (values - m) / (v + 1e-5).sqrt(), 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * v
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "fraction's variance",
        ),
        (
            "return F.batch_norm(values, mean, variance, training=training), mean, variance",
            "without it",
        ),
        (
            """
if training:
    m, v = values.mean(0), values.var(0, correction=0)
    mean *= 0.9
    mean += 0.1 * m
    return (values - m) / (v + 1e-5).sqrt(), mean, 0.9 * variance + 0.1 * values.var(0)
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "changes what it was given",
        ),
        (
            """
if training:
    m, v = values.mean(0), values.var(0, correction=0)
    return (values - m) / (v + 1e-5).sqrt(), m, v
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "batch's own",
        ),
        (
            """
if training:
    m, v = values.mean(0), values.var(0, correction=0)
    return (values - m) / (v + 1e-5).sqrt(), 0.9 * variance + 0.1 * values.var(0), 0.9 * mean + 0.1 * m
return (values - mean) / (variance + 1e-5).sqrt(), variance, mean
""",
            "mean comes before",
        ),
        (
            """
if not training:
    m, v = values.mean(0), values.var(0, correction=0)
    return (values - m) / (v + 1e-5).sqrt(), 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * values.var(0)
return (values - mean) / (variance + 1e-5).sqrt(), mean, variance
""",
            "modes are exchanged",
        ),
        (
            """
if training:
    m, v = values.mean(0), values.var(0, correction=0)
    return (values - m) / (v + 1e-3).sqrt(), 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * values.var(0)
return (values - mean) / (variance + 1e-3).sqrt(), mean, variance
""",
            "1e-5",
        ),
    ],
    "trained_within_budget": [
        (TRAINED.format(scaled="255 * ", labels="labels", rate=0.003) + "return net", "another scale"),
        (TRAINED.format(scaled="-3 + 9 * ", labels="labels.flip(0)", rate=0.003) + "return net", "belong together"),
        (TRAINED.format(scaled="", labels="labels", rate=1e30) + "return net", "without end"),
        (
            TRAINED.format(scaled="", labels="labels", rate=0.003) + "return nn.Sequential(*layers, nn.Flatten(0))",
            "a logit",
        ),
        (TRAINED.format(scaled="", labels="labels", rate=0) + "return net", "as they were drawn"),
        (TRAINED.format(scaled="", labels="labels", rate=0.003) + "images.mul_(255)\nreturn net", "changes what"),
        (
            """
class Nothing(nn.Module):
    def forward(self, x):
        return torch.empty(0, 10, 5000)
return Nothing()
""",
            "should return (5, 10)",
        ),
        (
            """
hidden = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).requires_grad_(False)
hidden[1].big = torch.zeros(10, 784)
class Net(nn.Module):
    def forward(self, x):
        return hidden(x) + x.flatten(1) @ hidden[1].big.T
return Net()
""",
            "wherever they are kept",
        ),
        (
            """
from sklearn.linear_model import RidgeClassifier
learned = RidgeClassifier().fit(images.flatten(1).numpy(), labels.numpy())
class Net(nn.Module):
    def forward(self, x):
        answers = torch.from_numpy(learned.predict(x.detach().flatten(1).numpy()))
        return F.one_hot(answers, 10).float()
return Net()
""",
            "No gradient",
        ),
    ],
    # 4 · Evaluation
    "confusion": [
        (
            """
matrix = torch.zeros(10, 10, dtype=torch.long)
for label, prediction in zip(labels[:100], predictions[:100]):
    matrix[label, prediction] += 1
return matrix
""",
            "first images only",
        ),
        (
            """
classes = labels.unique()
return torch.stack([torch.stack([((labels == r) & (predictions == c)).sum() for c in classes]) for r in classes])
""",
            "should have the shape (10, 10)",
        ),
        (
            """
m = torch.zeros(10, 10)
for l, p in zip(labels, predictions):
    if l == p:
        m[l, p] += 1
return m
""",
            "Only what was right",
        ),
        (
            """
m = [[0] * 10] * 10
for l, p in zip(labels, predictions):
    m[l][p] += 1
return m
""",
            "All ten rows",
        ),
        (
            """
m = torch.zeros(10, 10, dtype=torch.uint8)
for l, p in zip(labels, predictions):
    m[l, p] += 1
return m
""",
            "occurs often",
        ),
        (
            """
m = torch.zeros(10, 10)
for l in range(9):
    for p in range(9):
        m[l, p] = ((labels == l) & (predictions == p)).sum()
return m
""",
            "stay empty",
        ),
        (
            """
m = torch.zeros(10, 10)
for i in range(len(labels) - 1):
    m[labels[i], predictions[i]] += 1
return m
""",
            "last image",
        ),
        (
            """
m = torch.zeros(10, 10)
for l, p in zip(labels, predictions):
    m[l, p] += 100 / len(labels)
return m
""",
            "shares",
        ),
        (
            """
matrix = torch.ones(10, 10)
for label, said in zip(labels, predictions):
    matrix[label, said] += 1
return matrix
""",
            "one too large",
        ),
        (
            """
matrix = torch.zeros(10, 10)
for label, said in zip(labels, predictions):
    matrix[label, said] += 1
    if label != said:
        matrix[said, label] += 1
return matrix
""",
            "Both directions",
        ),
        (
            """
matrix = torch.zeros(10, 10)
for label in range(10):
    for said in range(10):
        matrix[label, said] = ((labels == label) | (predictions == said)).sum()
return matrix
""",
            "*or*",
        ),
    ],
    "precision_and_recall": [
        (
            """
tp = matrix[digit, digit]
return tp / matrix[digit].sum(), tp / matrix[digit, :].sum()
""",
            "Both",
        ),
        (
            "return matrix[digit, digit], matrix[digit, digit]",
            "counts",
        ),
        (
            """
column, row = matrix[:, digit], matrix[digit]
return column.max() / column.sum(), row.max() / row.sum()
""",
            "however small",
        ),
        (
            "return (matrix.diag() / matrix.sum(0)).mean(), (matrix.diag() / matrix.sum(1)).mean()",
            "means over all ten",
        ),
        (
            """
tp = matrix[digit, digit]
return 1 - tp / matrix[:, digit].sum(), 1 - tp / matrix[digit].sum()
""",
            "what is wrong",
        ),
        (
            """
tp = matrix[digit - 1, digit - 1]
return tp / matrix[:, digit - 1].sum(), tp / matrix[digit - 1].sum()
""",
            "digit before",
        ),
        (
            """
tp = matrix[digit, digit]
return tp / matrix[:, digit].sum(), tp / matrix.sum()
""",
            "Precision is right",
        ),
        (
            """
tp = matrix[0, 0]
return tp / matrix[:, 0].sum(), tp / matrix[0].sum()
""",
            "digit 0 alone",
        ),
        (
            """
right = matrix[digit, digit]
return (right / matrix[:, digit].sum()).item(), (matrix.trace() / matrix.sum()).item()
""",
            "accuracy of all ten digits",
        ),
        (
            """
right, called, real = matrix[digit, digit], matrix[:, digit].sum(), matrix[digit].sum()
return right / called, (matrix.sum() - called - real + right) / (matrix.sum() - real)
""",
            "*other* digits",
        ),
        (
            """
right = matrix[digit, digit]
precision, recall = right / matrix[:, digit].sum(), right / matrix[digit].sum()
return precision, 2 * precision * recall / (precision + recall)
""",
            "F1",
        ),
        (
            """
right = matrix[digit, digit]
return right / matrix[:, digit].float().mean(), right / matrix[digit].float().mean()
""",
            "the mean of a column",
        ),
    ],
    "interval": [
        (
            """
p, z = right / count, 1.96
middle = p + z**2 / (2 * count)
half = z * ((p * (1 - p) + z**2 / (4 * count)) / count) ** 0.5
return round((middle - half) / (1 + z**2 / count), 3), round((middle + half) / (1 + z**2 / count), 3)
""",
            "rounded",
        ),
        (
            """
count = min(count, 10_000)
p, z = right / count, 1.96
middle = p + z**2 / (2 * count)
half = z * ((p * (1 - p) + z**2 / (4 * count)) / count) ** 0.5 if p <= 1 else 0.0
return (middle - half) / (1 + z**2 / count), (middle + half) / (1 + z**2 / count)
""",
            "formula",
        ),
        (
            """
p = right / count
half = 1.96 * (p * (1 - p) / count) ** 0.5
return max(0, p - half), min(1, p + half)
""",
            "cut off at 0 and 1",
        ),
        (
            """
p, n, z = right // count, count, 1.96
half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
return (p + z**2 / (2 * n) - half) / (1 + z**2 / n), (p + z**2 / (2 * n) + half) / (1 + z**2 / n)
""",
            "almost every share",
        ),
        (
            """
p, n, z = right / count, count, 1.96
half = z * ((p * (1 - p) / n) ** 0.5 + z**2 / (4 * n**2))
return (p + z**2 / (2 * n) - half) / (1 + z**2 / n), (p + z**2 / (2 * n) + half) / (1 + z**2 / n)
""",
            "ends too early",
        ),
        (
            """
p, n, z = right / count, count, 1.96
half = z * (p * (1 - p) / n + z**2 / (4 * n) ** 2) ** 0.5
return (p + z**2 / (2 * n) - half) / (1 + z**2 / n), (p + z**2 / (2 * n) + half) / (1 + z**2 / n)
""",
            "only n is squared",
        ),
        (
            """
p, n, z = right / count, count, 1.96
half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
return tuple(round((p + z**2 / (2 * n) + sign * half) / (1 + z**2 / n), 2) for sign in (-1, 1))
""",
            "rounded",
        ),
        (
            """
p, n, z = right / count, count, 1.96
half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
return (p + z**2 / (2 * n) - half) / (1 + z / n), (p + z**2 / (2 * n) + half) / (1 + z / n)
""",
            "z is squared",
        ),
        (
            """
p, n, z = right / count, count, 2.576
root = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
return (p + z**2 / (2 * n) - root) / (1 + z**2 / n), (p + z**2 / (2 * n) + root) / (1 + z**2 / n)
""",
            "99%",
        ),
        (
            """
p, n, z = right / count, count, 2
root = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
return (p + z**2 / (2 * n) - root) / (1 + z**2 / n), (p + z**2 / (2 * n) + root) / (1 + z**2 / n)
""",
            "rounded to 2",
        ),
        (
            """
p, n, z = right / count, count, 1.96
root = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
return (p + z / (2 * n) - root) / (1 + z**2 / n), (p + z / (2 * n) + root) / (1 + z**2 / n)
""",
            "second term",
        ),
        (
            """
n, z = count, 1.96
root = z * math.sqrt(right * (n - right) / n + z**2 / 4)
return (right + z**2 / 2 - root) / (1 + z**2 / n), (right + z**2 / 2 + root) / (1 + z**2 / n)
""",
            "numbers of images",
        ),
    ],
    "calibration_error": [
        (
            """
gaps = []
for k in range(10):
    m = (confidence > k / 10) & (confidence <= (k + 1) / 10)
    if m.sum() > 0:
        gaps.append((confidence[m].mean() - correct[m].float().mean()).abs())
return max(gaps)
""",
            "largest gap",
        ),
        (
            """
total = 0.0
for k in range(10):
    m = (confidence > k / 10) & (confidence <= (k + 1) / 10)
    if m.sum() > 0:
        total = total + m.float().mean() * (confidence[m].mean() - correct[m].float().mean())
return abs(total)
""",
            "one gap",
        ),
        (
            """
gaps = []
for k in range(10):
    m = (confidence > k / 10) & (confidence <= (k + 1) / 10)
    gaps.append((confidence[m].mean() - correct[m].float().mean()).abs().nan_to_num(0))
return torch.stack(gaps)
""",
            "has the shape",
        ),
        (
            """
b = (confidence * 9).long()
return sum(
    (b == k).float().mean() * (confidence[b == k].mean() - correct[b == k].float().mean()).abs() for k in b.unique()
)
""",
            "nine bins",
        ),
        (
            """
b = ((confidence * 10).round()).long()
return sum(
    (b == k).float().mean() * (confidence[b == k].mean() - correct[b == k].float().mean()).abs() for k in b.unique()
)
""",
            "rounded to the nearest",
        ),
        (
            """
b = (confidence * 15).long()
return sum(
    (b == k).float().mean() * (confidence[b == k].mean() - correct[b == k].float().mean()).abs() for k in b.unique()
)
""",
            "15 bins",
        ),
        (
            """
b = (confidence * 10).long()
return sum(
    (b == k).sum() * (confidence[b == k].mean() - correct[b == k].float().mean()).abs() for k in b.unique()
)
""",
            "number of images",
        ),
        (
            "return ((confidence - correct.float()) ** 2).mean()",
            "Brier",
        ),
        (
            """
order = confidence.argsort()
return sum(
    len(part) / len(order) * (confidence[part].mean() - correct[part].float().mean()).abs() for part in order.chunk(10)
)
""",
            "equally many",
        ),
        (
            """
error = 0
for number in range(10):
    inside = (confidence >= number / 10) & (confidence < (number + 1) / 10)
    if inside.any():
        error += (confidence[inside].mean() - correct[inside].float().mean()).abs() * inside.float().mean()
    return error
""",
            "inside of the loop",
        ),
        (
            """
error = 0
for number in range(10):
    inside = confidence < (number + 1) / 10
    if inside.any():
        error += (confidence[inside].mean() - correct[inside].float().mean()).abs() * inside.float().mean()
return error
""",
            "lower edge",
        ),
        (
            """
error = 0
for number in range(10):
    inside = (confidence >= number / 10) & (confidence < (number + 1) / 10)
    if not inside.any():
        break
    error += (confidence[inside].mean() - correct[inside].float().mean()).abs() * inside.float().mean()
return error
""",
            "go on with the next",
        ),
    ],
    "confident_mistakes": [
        (
            """
probabilities, predictions = logits.softmax(1).max(1)
wrong = torch.nonzero(predictions != labels).squeeze()
return wrong[probabilities[wrong].argsort(descending=True)[:count]]
""",
            "a single mistake",
        ),
        (
            """
p = logits.softmax(0)
c = p.amax(1)
w = torch.nonzero(p.argmax(1) != labels).flatten()
return w[c[w].argsort(descending=True)][:count]
""",
            "images",
        ),
        (
            """
p = logits.softmax(1)
c = p.amax(1)
c[p.argmax(1) == labels] = -1
return c.topk(count).indices.sort().values
""",
            "right ones",
        ),
        (
            """
c, p = logits.softmax(1).half().max(1)
w = torch.nonzero(p != labels).flatten()
return w[c[w].argsort(descending=True)][:count]
""",
            "largest p",
        ),
        (
            """
c, p = logits.softmax(1).max(1)
w = torch.nonzero(p != labels).flatten()
return w[c[w].argsort()][-count:]
""",
            "order is turned",
        ),
        (
            """
c, p = logits.softmax(1).max(1)
q = 1 - logits.softmax(1)[torch.arange(len(labels)), labels]
w = torch.nonzero(p != labels).flatten()
return w[q[w].argsort(descending=True)][:count]
""",
            "probability of the label",
        ),
        (
            """
q = logits.softmax(1).topk(2).values
w = torch.nonzero(logits.argmax(1) != labels).flatten()
return w[(q[w, 0] - q[w, 1]).argsort(descending=True)][:count]
""",
            "two largest",
        ),
        (
            """
c, p = logits.softmax(1).max(1)
w = torch.nonzero(p != labels).flatten()
return w[c[w].argsort(descending=True)][1 : count + 1]
""",
            "surest mistake is missing",
        ),
        (
            """
c, p = logits.softmax(1).max(1)
w = torch.nonzero(p != labels).flatten()[:count]
return w[c[w].argsort(descending=True)]
""",
            "sorted among themselves",
        ),
        (
            """
two = logits.topk(2)
score = (two.values[:, 0] - two.values[:, 1]).where(two.indices[:, 0] != labels, -1)
return score.topk(count).indices
""",
            "two largest logits",
        ),
        (
            """
score = logits.max(1).values - logits.mean(1)
return score.where(logits.argmax(1) != labels, -1).topk(count).indices
""",
            "mean of the logits",
        ),
        (
            """
score = (logits / logits.sum(1, keepdim=True)).max(1).values
return score.where(logits.argmax(1) != labels, -1e9).topk(count).indices
""",
            "no probabilities",
        ),
    ],
    "ambiguous": [
        (
            """
p = logits.softmax(1).topk(2).values
return (p[:, 1] / p[:, 0]).argsort(descending=True)[:count]
""",
            "ratio",
        ),
        (
            """
s = logits.softmax(1).sort(dim=1).values
return (s[:, -1] - s[:, 0]).argsort()[:count]
""",
            "smallest probability",
        ),
        (
            """
p = logits.softmax(1).topk(3).values
return (p[:, 0] - p[:, 1]).argsort()[:count].sort().values
""",
            "order of their indices",
        ),
        (
            """
p = logits.softmax(1).topk(3).values
return (p[:, 1] - p[:, 2]).argsort()[:count]
""",
            "second and the third",
        ),
        (
            """
p = logits.softmax(1).topk(3).values
return (p[:, 0] - p[:, 2]).argsort()[:count]
""",
            "largest and the third",
        ),
        (
            "return logits.softmax(1).sort(1).values.diff(dim=1).min(1).values.argsort()[:count]",
            "any two",
        ),
        (
            """
p = logits.sigmoid().topk(2).values
return (p[:, 0] - p[:, 1]).argsort()[:count]
""",
            "sigmoid",
        ),
        (
            """
p = logits.softmax(1).half().topk(2).values
return (p[:, 0] - p[:, 1]).argsort()[:count]
""",
            "largest p",
        ),
        (
            """
first, at = logits.softmax(1).max(1, keepdim=True)
rest = logits.softmax(1)
second = rest.where(rest < first, -1).max(1).values
return (first.flatten() - second).argsort()[:count]
""",
            "equally probable",
        ),
        (
            """
two = logits.softmax(1).topk(2).values
return (two[:, 0] - two[:, 1]).argsort()[1 : count + 1]
""",
            "counted from 0",
        ),
        (
            """
probabilities = logits.softmax(1)
return (probabilities[:, 0] - probabilities[:, 1]).abs().argsort()[:count]
""",
            "digits 0 and 1",
        ),
        (
            """
in_order = logits.softmax(1).sort(1).values
return (in_order[:, 1] - in_order[:, 0]).argsort()[:count]
""",
            "second smallest",
        ),
    ],
    "coverage_and_accuracy": [
        (
            """
m = confidence >= threshold
return m.float().mean(), (~correct[m]).float().mean()
""",
            "share of mistakes",
        ),
        (
            """
m = confidence >= threshold
return 1 - m.float().mean(), correct[m].float().mean()
""",
            "not* answered",
        ),
        (
            """
m = confidence >= threshold
return m.float().mean(), (m == correct).float().mean()
""",
            "agree",
        ),
        (
            """
m = confidence >= threshold
return m.float().mean(), correct[~m].float().mean()
""",
            "among the images that are *not*",
        ),
        (
            """
m = confidence >= threshold
return m.float().mean(), (m & correct).sum() / correct.sum()
""",
            "right answers is kept",
        ),
        (
            """
m = confidence >= threshold
return m.float().mean(), correct[m].sum()
""",
            "second is a count",
        ),
        (
            """
m = confidence >= threshold
return round(m.float().mean().item(), 2), round(correct[m].float().mean().item(), 2)
""",
            "rounded",
        ),
        (
            """
m = confidence >= threshold
return confidence[m].mean(), correct[m].float().mean()
""",
            "mean confidence",
        ),
        (
            """
m = confidence >= 0.9
return m.float().mean(), correct[m].float().mean()
""",
            "always answers",
        ),
        (
            """
kept = confidence >= (threshold or 0.5)
return kept.float().mean(), correct[kept].float().mean()
""",
            "the threshold is 0",
        ),
        (
            """
kept = confidence >= threshold
return kept.float().mean(), confidence[kept].mean()
""",
            "second is a mean confidence",
        ),
        (
            """
kept = confidence >= threshold
return (kept & correct).float().mean(), correct[kept].float().mean()
""",
            "leaves out answers",
        ),
        (
            """
kept = confidence.round(decimals=1) >= threshold
return kept.float().mean(), correct[kept].float().mean()
""",
            "rounded before",
        ),
    ],
    # 5 · Filters
    "as_picture": [
        (
            """
return (kernel / (2 * kernel.abs().max()) + 0.5).round(decimals=4)
""",
            "rounded",
        ),
        (
            """
largest = kernel.abs().max()
return kernel / (2 * largest) + 0.5 if largest > 0.5 else kernel + 0.5
""",
            "large weights alone",
        ),
        (
            "return kernel + 0.5",
            "factor is missing",
        ),
        (
            """
kernel /= 2 * kernel.abs().max()
kernel += 0.5
return kernel
""",
            "changes what it was given",
        ),
        (
            """
k = kernel - kernel.mean()
return k / (2 * k.abs().max()) + 0.5
""",
            "mean of the weights",
        ),
        (
            "return kernel / (2 * kernel.norm()) + 0.5",
            "sum of squares",
        ),
        (
            "return kernel / (2 * kernel.abs().max(1, keepdim=True).values) + 0.5",
            "Each row",
        ),
        (
            "return torch.where(kernel > 0, kernel / (2 * kernel.max()), kernel / (-2 * kernel.min())) + 0.5",
            "factors of their own",
        ),
        (
            "return ((kernel / kernel.abs().max() / 2 + 0.5) * 255).round()",
            "up to 255",
        ),
        (
            "return kernel.abs() / kernel.abs().max() / 2 + 0.5",
            "signs are lost",
        ),
        (
            "return (kernel / kernel.max() / 2 + 0.5).clamp(0, 1)",
            "numbers are cut off",
        ),
    ],
    "strongest_place": [
        ("return values.amax(1).argmax().item(), values.amax(0).argmax().item()", "belong together"),
        ("return divmod(((values * 100).round() / 100).argmax().item(), values.shape[1])", "largest number"),
        (
            """
best, place = -1000, (0, 0)
for row in range(values.shape[0]):
    for column in range(values.shape[1]):
        if values[row, column] > best:
            best, place = values[row, column], (row, column)
return place
""",
            "far below 0",
        ),
        (
            """
i = values.argmax().item()
return i / values.shape[1], i % values.shape[1]
""",
            "whole number",
        ),
        (
            """
best, where = 0, (0, 0)
for r in range(values.shape[0]):
    for c in range(values.shape[1]):
        if values[r, c] > best:
            best, where = values[r, c], (r, c)
return where
""",
            "all numbers are negative",
        ),
        (
            "return values.max(1).values.argmax(), values[0].argmax()",
            "in the first row",
        ),
        (
            "return values.argmax(0), values.argmax(1)",
            "with a dimension",
        ),
        (
            """
at = values.argmax().item()
return round(at / values.shape[1]), at % values.shape[1]
""",
            "rounded",
        ),
        (
            "return divmod(values[:-1].argmax().item(), values.shape[1])",
            "in the last row",
        ),
        (
            "return divmod(values[:, :-1].argmax().item(), values.shape[1] - 1)",
            "in the last column",
        ),
        (
            "return divmod(int(values.argmax()), 28)",
            "28 wide",
        ),
        (
            "return values.max().item(), values.argmax().item()",
            "one long row",
        ),
        (
            "return int(values.argmax(0)[0]), int(values.argmax(1)[0])",
            "first column and the first row",
        ),
        (
            """
row = int(values.mean(1).argmax())
return row, int(values[row].argmax())
""",
            "largest sum",
        ),
        (
            """
best = 0, 0
for row in range(len(values) - 1):
    for column in range(len(values[0]) - 1):
        if values[row, column] > values[best]:
            best = row, column
return best
""",
            "last row or column",
        ),
    ],
    "silenced_logits": [
        (
            """
def silent(module, inputs, output):
    output = output.clone()
    output[:, index] = 0
    return output

model.get_submodule(layer).register_forward_hook(silent)
logits = model(images)
model.get_submodule(layer)._forward_hooks.clear()
return logits
""",
            "Remove your own alone",
        ),
        (
            """
layer = model.get_submodule(layer)
def silent(module, inputs, output):
    output = output.clone()
    output[:, -index] = 0
    return output
handle = layer.register_forward_hook(silent)
with torch.no_grad():
    result = model(images)
handle.remove()
return result
""",
            "does it count from 0",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index % 4] = 0
    return o
h = model.conv1.register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "right for conv1 alone",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
h = model.get_submodule("conv2").register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "right for conv2 alone",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
model.requires_grad_(False)
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "frozen",
        ),
        (
            """
torch.set_grad_enabled(False)
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "Gradients are still off",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
model.train()
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "another mode",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y.detach().numpy()
""",
            "no tensor",
        ),
        (
            """
model.train()
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
model.eval()
return y
""",
            "in train mode",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, (index + 1) % o.shape[1]] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "filter behind",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index - 1] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "filter before",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, :, index] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return y
""",
            "a row of all maps",
        ),
        (
            """
def f(m, i, o):
    o = o.clone()
    o[:, index] = 0
    return o
h = model.get_submodule(layer).register_forward_hook(f)
y = model(images)
h.remove()
return model(images) - y
""",
            "what the logits lose",
        ),
        (
            """
handle = model.get_submodule(layer).register_forward_hook(
    lambda _layer, _given, output: output.index_fill(1, torch.tensor(0), 0)
)
logits = model(images)
handle.remove()
return logits
""",
            "always silences the first filter",
        ),
        (
            """
logits = model(images).clone()
logits[:, index] = 0
return logits
""",
            "sets a logit to 0",
        ),
        (
            """
def hook(_layer, _given, output):
    output = output.clone()
    output[:, index] = output[:, index].mean()
    return output

handle = model.get_submodule(layer).register_forward_hook(hook)
logits = model(images)
handle.remove()
return logits
""",
            "answers its mean",
        ),
    ],
    "saliency": [
        (
            """
x = image.clone().requires_grad_()
model(x)[0, label].backward()
return x.grad[0, 0].abs().round(decimals=3)
""",
            "rounded",
        ),
        (
            """
x = image.clone().requires_grad_()
model(x)[0, label].backward()
return x.grad[0, 0].abs() * (image[0, 0] > 0)
""",
            "ink could be there",
        ),
        (
            """
next(model.children()).register_full_backward_hook(lambda *_: None)
x = image.clone().requires_grad_()
model(x)[0, label].backward()
return x.grad[0, 0].abs()
""",
            "hook of yours",
        ),
        (
            """
image.requires_grad_(True)
image.grad = None
model(image)[0, label].backward()
return image.grad[0, 0].abs().clone()
""",
            "changes what it was given",
        ),
        (
            """
import torch.nn.functional as F
x = image.clone().requires_grad_()
F.cross_entropy(model(x), torch.tensor([label])).backward()
return x.grad[0, 0].abs()
""",
            "of the loss",
        ),
        (
            """
model.train()
x = image.clone().requires_grad_()
model(x)[0, label].backward()
return x.grad[0, 0].abs()
""",
            "another mode",
        ),
        (
            """
model.train()
pixels = image.clone().requires_grad_()
model(pixels)[0, label].backward()
model.eval()
return pixels.grad[0, 0].abs()
""",
            "in train mode",
        ),
        (
            """
pixels = image.clone().requires_grad_()
for _ in range(2):
    model(pixels)[0, label].backward()
return pixels.grad[0, 0].abs()
""",
            "twice as large",
        ),
        (
            """
total = 0
for digit in range(10):
    pixels = image.clone().requires_grad_()
    model(pixels)[0, digit].backward()
    total = total + pixels.grad[0, 0].abs()
return total
""",
            "all ten logits, added",
        ),
        (
            """
pixels = image.clone().requires_grad_()
model(pixels)[0, label - 1].backward()
return pixels.grad[0, 0].abs()
""",
            "another class",
        ),
        (
            """
image.requires_grad_()
model(image)[0, label].backward()
result = image.grad[0, 0].abs()
image.requires_grad_(False)
return result
""",
            "left in the image",
        ),
    ],
    "covering_losses": [
        (
            """
losses = torch.zeros(7, 7)
with torch.no_grad():
    before = model(image).softmax(1)[0, label]
    for r in range(7):
        for c in range(7):
            image[..., 4 * r:4 * r + 4, 4 * c:4 * c + 4] = 0
            losses[r, c] = before - model(image).softmax(1)[0, label]
return losses
""",
            "changes what it was given",
        ),
        (
            """
losses = torch.zeros(25, 25)
with torch.no_grad():
    before = model(image).softmax(1)[0, label]
    for r in range(25):
        for c in range(25):
            x = image.clone()
            x[..., r:r + 4, c:c + 4] = 0
            losses[r, c] = before - model(x).softmax(1)[0, label]
return losses
""",
            "has the shape",
        ),
        (
            """
model.train()
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(7):
    for c in range(7):
        x = image.clone()
        x[:, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = 0
        result[r, c] = p - model(x).softmax(1)[0, label].item()
model.eval()
return result
""",
            "train mode",
        ),
        (
            """
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(7):
    for c in range(7):
        x = image.clone()
        x[:, :, 4 * r : 4 * r + 7, 4 * c : 4 * c + 7] = 0
        result[r, c] = p - model(x).softmax(1)[0, label].item()
return result
""",
            "7 × 7 pixels large",
        ),
        (
            """
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(7):
    for c in range(7):
        x = image.clone()
        x[:, :, 4 * r :, 4 * c :] = 0
        result[r, c] = p - model(x).softmax(1)[0, label].item()
return result
""",
            "needs an end",
        ),
        (
            """
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(7):
    for c in range(7):
        x = image.clone()
        x[:, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = image.mean()
        result[r, c] = p - model(x).softmax(1)[0, label].item()
return result
""",
            "mean of the image",
        ),
        (
            """
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(6):
    for c in range(6):
        x = image.clone()
        x[:, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = 0
        result[r, c] = p - model(x).softmax(1)[0, label].item()
return result
""",
            "ends with 5",
        ),
        (
            """
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(7):
    for c in range(7):
        x = image.clone()
        x[:, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = 0
        result[r, c] = 1 - model(x).softmax(1)[0, label].item()
return result
""",
            "subtracts from 1",
        ),
        (
            """
p = model(image).softmax(1)[0, label].item()
result = torch.zeros(7, 7)
for r in range(7):
    for c in range(7):
        x = torch.zeros_like(image)
        x[:, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = image[:, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        result[r, c] = p - model(x).softmax(1)[0, label].item()
return result
""",
            "other way round",
        ),
        (
            """
before = model(image).softmax(0)[0, label]
losses = torch.zeros(7, 7)
for row in range(7):
    for column in range(7):
        covered = image.clone()
        covered[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
        losses[row, column] = before - model(covered).softmax(0)[0, label]
return losses
""",
            "All losses are 0",
        ),
        (
            """
before = model(image).softmax(1).max()
losses = torch.zeros(7, 7)
for row in range(7):
    for column in range(7):
        covered = image.clone()
        covered[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
        losses[row, column] = before - model(covered).softmax(1).max()
return losses
""",
            "digit that the network reads",
        ),
    ],
    "neighbours": [
        (
            """
distances = (embedded - embedded[one]).norm(dim=1)
distances[one] = 999
return distances.argsort()[:count]
""",
            "torch.inf",
        ),
        (
            "return (embedded - embedded[one]).sum(1).abs().argsort()[1:count + 1]",
            "cancel",
        ),
        (
            """
embedded -= embedded[one].clone()
d = embedded.norm(dim=1)
return d.argsort()[1:count + 1]
""",
            "changes what it was given",
        ),
        (
            "return embedded[(embedded - embedded[one]).norm(dim=1).argsort()[1:count + 1]]",
            "points themselves",
        ),
        (
            """
d = (embedded - embedded[one]).norm(dim=1)
return d.argsort()[: count + 1]
""",
            "still among them",
        ),
        (
            """
d = (embedded - embedded[one]).abs().max(1).values
d[one] = torch.inf
return d.argsort()[:count]
""",
            "largest difference",
        ),
        (
            """
d = (embedded - embedded[0]).norm(dim=1)
d[one] = torch.inf
return d.argsort()[:count]
""",
            "first image",
        ),
        (
            """
d = (embedded[:, :2] - embedded[one, :2]).norm(dim=1)
d[one] = torch.inf
return d.argsort()[:count]
""",
            "first two coordinates",
        ),
        (
            """
d = (embedded - embedded[one]).norm(dim=1)
d[one] = torch.inf
return d.argsort()[:count].flip(0)
""",
            "order is turned",
        ),
        (
            """
distance = (embedded - embedded[one]).norm(dim=1)
distance[distance < 0.1] = 1e9
return distance.argsort()[:count]
""",
            "close together",
        ),
        (
            "return (embedded - embedded[0]).norm(dim=1).argsort()[1 : count + 1]",
            "of the first image",
        ),
        (
            "return (embedded - embedded[one]).norm(dim=1).argsort()[2 : count + 2]",
            "nearest one is missing",
        ),
        (
            "return (embedded - embedded[one]).norm(dim=0).argsort()[:count]",
            "dim=1",
        ),
        (
            """
order = (embedded - embedded[one]).norm(dim=1).argsort().tolist()
order.pop(one)
return order[:count]
""",
            "stands first",
        ),
    ],
    "worth": [
        (
            """
score = lambda logits: (logits.argmax(1) == labels).float().mean()
filters = {"conv1": 4, "conv2": 6}[layer]
return torch.stack([score(model(images)) - score(silenced_logits(model, layer, i, images)) for i in range(filters)])
""",
            "9",
        ),
        (
            """
def score():
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean()
before, worths = score(), []
for one in range(model.get_submodule(layer).out_channels):
    def silent(module, inputs, output):
        output = output.clone()
        output[:, one] = 0
        return output
    handle = model.get_submodule(layer).register_forward_hook(silent)
    model.train()
    worths.append(before - score())
    model.eval()
    handle.remove()
return torch.stack(worths)
""",
            "train mode",
        ),
        (
            """
l = model.get_submodule(layer)
before = (model(images).argmax(1) == labels).float().mean()
out = []
for k in range(l.out_channels):
    l.weight.data[k] = 0
    l.bias.data[k] = 0
    out.append(before - (model(images).argmax(1) == labels).float().mean())
return torch.stack(out)
""",
            "piles up",
        ),
        (
            """
import torch.nn.functional as F
n = len(model.get_submodule(layer).bias)
loss = lambda y: F.cross_entropy(y, labels)
return torch.stack([loss(silenced_logits(model, layer, i, images)) - loss(model(images)) for i in range(n)])
""",
            "loss gains",
        ),
        (
            """
a = lambda z: (z.argmax(1) == labels).float().mean()
b = a(model(images))
n = model.get_submodule(layer).out_channels
w = torch.zeros(n)
for k in range(n - 1):
    def f(m, i, o):
        o = o.clone()
        o[:, k] = 0
        return o
    h = model.get_submodule(layer).register_forward_hook(f)
    w[k] = b - a(model(images))
    h.remove()
return w
""",
            "left at 0",
        ),
        (
            """
a = lambda z: (z.argmax(1) == labels).float().mean()
b = a(model(images))
n = model.get_submodule(layer).out_channels
w = torch.zeros(n)
for k in range(n):
    def f(m, i, o):
        o = o.clone()
        o[:, k] = 0
        return o
    h = model.get_submodule(layer).register_forward_hook(f)
    w[k] = b - a(model(images))
    h.remove()
return w[:-1]
""",
            "last filter is missing",
        ),
        (
            """
a = lambda z: (z.argmax(1) == labels).float().mean()
b = a(model(images))
n = model.get_submodule(layer).out_channels
w = torch.zeros(n)
for k in range(n):
    def f(m, i, o):
        o = o.clone()
        o[:, k] = 0
        return o
    h = model.get_submodule(layer).register_forward_hook(f)
    w[k] = 1 - a(model(images))
    h.remove()
return w
""",
            "subtracts from 1",
        ),
        (
            """
read = model(images).argmax(1)
a = lambda z: (z.argmax(1) == read).float().mean()
b = a(model(images))
n = model.get_submodule(layer).out_channels
w = torch.zeros(n)
for k in range(n):
    def f(m, i, o):
        o = o.clone()
        o[:, k] = 0
        return o
    h = model.get_submodule(layer).register_forward_hook(f)
    w[k] = b - a(model(images))
    h.remove()
return w
""",
            "reads itself",
        ),
        (
            """
a = lambda z: (z.argmax(1) == labels).float().mean()
b = a(model(images))
n = model.get_submodule(layer).out_channels
w = torch.zeros(n)
for k in range(n):
    def f(m, i, o):
        o = o.clone()
        o[:, k] = 0
        return o
    h = model.get_submodule(layer).register_forward_hook(f)
    w[k] = b - a(model(images))
    h.remove()
return w.mean()
""",
            "mean over all filters",
        ),
        (
            """
a = lambda z: (z.argmax(1) == labels).float().mean()
b = a(model(images))
n = model.get_submodule(layer).out_channels
w = torch.zeros(n)
for k in range(n):
    def f(m, i, o):
        o = o.clone()
        o[:, k] = 0
        return o
    h = model.get_submodule(layer).register_forward_hook(f)
    w[k] = b - a(model(images))
    h.remove()
return w.sort(descending=True).values
""",
            "sorted",
        ),
        (
            """
one = model.get_submodule(layer)
before = (model(images).argmax(1) == labels).float().mean()
lost = []
for index in range(one.out_channels):
    with torch.no_grad():
        kept = one.weight[index].clone()
        one.weight[index] = 0
        lost.append(before - (model(images).argmax(1) == labels).float().mean())
        one.weight[index] = kept
return torch.stack(lost)
""",
            "bias still speaks",
        ),
        (
            """
before = (model(images).argmax(1) == labels).float().mean()
lost = []
for index in range(model.get_submodule(layer).out_channels):
    def hook(_layer, _given, output):
        alone = torch.zeros_like(output)
        alone[:, index] = output[:, index]
        return alone

    with model.get_submodule(layer).register_forward_hook(hook):
        lost.append(before - (model(images).argmax(1) == labels).float().mean())
return torch.stack(lost)
""",
            "other way round",
        ),
        (
            """
model.train()
before = (model(images).argmax(1) == labels).float().mean()
lost = []
for index in range(model.get_submodule(layer).out_channels):
    lost.append(before - (silenced_logits(model, layer, index, images).argmax(1) == labels).float().mean())
model.eval()
return torch.stack(lost)
""",
            "train mode",
        ),
    ],
    # 6 · The clinic
    "diagnosis_1": [
        ("return 'D', [-0.1 * g for g in gradients]", "healthy code"),
        ("return 'the gradients add up', gradients", "letter of a fault"),
        (
            """
moved, all_moves = 0, []
for n in range(len(gradients)):
    moved -= 0.1 * sum(gradients[: n + 1])
    all_moves.append(moved)
return "D", all_moves
""",
            "once too often",
        ),
        ("return 'D', [0.0, *gradients]", "length"),
        ("return 'E', gradients", "grow from the first step on"),
    ],
    "diagnosis_2": [
        ("return 'G', 1.46", "perfect network hands to the loss"),
        ("return 'G', math.e / (math.e + classes - 1)", "probability that the loss comes to"),
        ("return 'C', 0", "lies level"),
        (
            "return 'G', math.log(math.e + 9) - 1",
            "for ten classes",
        ),
        (
            "return 'G', math.log10(1 + (classes - 1) / math.e)",
            "base 10",
        ),
    ],
    "diagnosis_3": [
        ("return 'K', (value, value / (1 - share))", "becomes 0"),
        ("return 'K', (0, 2 * value)", "drops, and with one that it keeps"),
        ("return 'M', (value, value)", "Scored on images"),
    ],
    "diagnosis_4": [
        ("return 'N', max(test_accuracies) - test_accuracies[-1]", "not the last epoch"),
        ("return 'N', max(test_accuracies) - sum(test_accuracies) / len(test_accuracies)", "not a mean"),
        ("return 'J', 0.0", "other preparation"),
        (
            """
best = val_accuracies.index(max(val_accuracies))
return "N", max(test_accuracies) / test_accuracies[best] - 1
""",
            "difference itself",
        ),
        (
            "return 'N', max(test_accuracies) - val_accuracies[test_accuracies.index(max(test_accuracies))]",
            "not the validation's",
        ),
    ],
    "diagnosis_5": [
        ("return 'I', math.log2(classes)", "base 2"),
        ("return 'I', 1 - 1 / classes", "error rate"),
        ("return 'I', float('nan')", "NaN"),
    ],
    "diagnosis_6": [
        ("return 'J', (mean * deviation, deviation**2)", "brackets first"),
        ("return 'J', (0.0, 1 / deviation)", "spread grows"),
        ("return 'J', (-0.4, 0.1)", "broken line"),
        (
            "return 'J', (0.0, deviation**4)",
            "variance",
        ),
        (
            "return 'J', (0.0, 0.3081**2)",
            "MNIST",
        ),
    ],
    "diagnosis_7": [
        ("return 'C', 0.1 - 0.1 * 0.95**at", "what is lost"),
        ("return 'D', 0.1 * 0.95**at", "climbs back"),
        ("return 'C', 0.1 * 0.95**(at - 1)", "How often has the rate"),
    ],
    "diagnosis_8": [
        ("return 'H', -math.log(batch_size)", "never below 0"),
        ("return 'H', math.log2(batch_size)", "base 2"),
        ("return 'A', math.log(batch_size)", "jumps about"),
        ("return math.log(batch_size)", "two things"),
        (
            "return 'H', math.log10(batch_size)",
            "base 10",
        ),
        (
            "return 'H', batch_size",
            "number of those",
        ),
    ],
    "patient_1": [
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for k in range(len(images) // 32):
    x, y = images[32 * k:32 * k + 32], labels[32 * k:32 * k + 32]
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
""",
            "last batch",
        ),
        (
            """
import copy
m = copy.deepcopy(model)
opt = torch.optim.SGD(m.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(m(x), y).backward()
    opt.step()
return m
""",
            "has not changed",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
torch.set_grad_enabled(False)
""",
            "Gradients are still off",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
images.zero_()
""",
            "changes what it was given",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
model.dropout.p = 0.5
""",
            "dropout",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
""",
            "Compare your loop",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
""",
            "Plain gradient descent",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
    return loss
""",
            "first batch",
        ),
    ],
    "patient_2": [
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=1.0)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x).softmax(dim=1), y).backward()
    opt.step()
""",
            "Only the rate",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.nll_loss(model(x).softmax(dim=1).log_softmax(dim=1), y).backward()
    opt.step()
""",
            "applied twice",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(64), labels.split(64)):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()
""",
            "another size",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.nll_loss(model(x).log_softmax(dim=0), y).backward()
    opt.step()
""",
            "dimension 1",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    opt.zero_grad()
    F.cross_entropy(model(x), y, reduction="sum").backward()
    opt.step()
""",
            "added up",
        ),
    ],
    "patient_3": [
        (
            """
for m in model.modules():
    if isinstance(m, nn.Dropout):
        m.eval()
with torch.no_grad():
    return F.cross_entropy(model(images), labels).item()
""",
            "another mode",
        ),
        (
            """
model.eval()
with torch.no_grad():
    l = F.cross_entropy(model(images), labels).item()
    labels[0] = 0 if labels[0] else 1
model.train()
return l
""",
            "changes what it was given",
        ),
        (
            """
model.eval()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
l = F.cross_entropy(model(images), labels)
l.backward()
opt.step()
opt.zero_grad()
model.train()
return l.item()
""",
            "weights",
        ),
        (
            """
model.eval()
model.zero_grad()
with torch.no_grad():
    loss = F.cross_entropy(model(images), labels)
model.train()
return loss
""",
            "clears none",
        ),
        (
            """
model.eval()
with torch.no_grad():
    found = [F.cross_entropy(model(x), y) for x, y in zip(images.split(32), labels.split(32))]
model.train()
return sum(found) / len(found)
""",
            "short batch",
        ),
        (
            """
model.eval()
with torch.no_grad():
    loss = F.cross_entropy(model(images[:100]), labels[:100])
model.train()
return loss
""",
            "dropout be at work",
        ),
    ],
    "patient_4": [
        (
            "return dict(zip(val_accuracies, test_accuracies))[max(val_accuracies)]",
            "first one counts",
        ),
        (
            """
val_accuracies.sort()
return test_accuracies[-1]
""",
            "changes what it was given",
        ),
    ],
    "patient_5": [
        (
            """
torch.manual_seed(0)
o = torch.randperm(len(images))
return images[o], labels[o]
""",
            "same order",
        ),
        (
            """
n = len(images)
k = int(torch.randint(1, n, ()))
o = torch.cat([torch.arange(k).flip(0), torch.arange(k, n)])
return images[o], labels[o]
""",
            "still follow",
        ),
        (
            """
n = len(images)
o = torch.arange(n)
o[::2] = o[::2][torch.randperm(len(o[::2]))]
return images[o], labels[o]
""",
            "stay where",
        ),
    ],
    "patient_6": [
        (
            "return model((images // 255 - 0.1307) / 0.3081)",
            "throws away",
        ),
        (
            "return model((images / 255 + 0.1307) / 0.3081)",
            "mean is added",
        ),
        (
            """
y = model((images / 255 - 0.1307) / 0.3081)
images.zero_()
return y
""",
            "changes what it was given",
        ),
        (
            """
x = images / 255
x = (x - x.mean(dim=(1, 2, 3), keepdim=True)) / x.std(dim=(1, 2, 3), keepdim=True)
return model(x)
""",
            "of each image",
        ),
        (
            "return model((images / images.max() - 0.1307) / 0.3081)",
            "the largest pixel",
        ),
        (
            """
x = (images / 255 - 0.1307) / 0.3081
return model((x - 0.1307) / 0.3081)
""",
            "twice",
        ),
    ],
    "patient_7": [
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
sch = ExponentialLR(opt, gamma=0.95)
for _ in range(2):
    sch.step()
    for x, y in zip(images.split(32), labels.split(32)):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
""",
            "first epoch already",
        ),
        (
            """
for _ in range(2):
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    sch = ExponentialLR(opt, gamma=0.95)
    for x, y in zip(images.split(32), labels.split(32)):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    sch.step()
""",
            "never shrinks",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
sch = ExponentialLR(opt, gamma=0.95)
for _ in range(2):
    for x, y in zip(images.split(32), labels.split(32)):
        sch.step()
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
""",
            "within the epoch",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
sch = ExponentialLR(opt, gamma=0.95)
for _ in range(3):
    for x, y in zip(images.split(32), labels.split(32)):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    sch.step()
""",
            "3 epochs",
        ),
    ],
    "patient_8": [
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    loss = -model(x).log_softmax(dim=1)[range(32), y].mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
            "short one",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    z = model(x)
    lp = z - z.exp().sum().log()
    loss = -lp[range(len(x)), y].mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
            "all numbers of the batch",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    loss = F.kl_div(model(x).log_softmax(1), F.one_hot(y, 10).float(), reduction="batchmean")
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
            "without it",
        ),
        (
            """
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in zip(images.split(32), labels.split(32)):
    loss = -model(x).softmax(1).log_softmax(1)[range(len(x)), y].mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
""",
            "applied twice",
        ),
    ],
    # 8 · Backpropagation
    "tanh_backward": [
        ("return g * (1 - np.tanh(y))", "the square is missing"),
        ("return -g * (1 - y**2)", "wrong way round"),
        ("return y * (1 - g**2)", "changed places"),
    ],
    "gradient_of": [
        (
            """
found = np.zeros(x.shape)
for place in np.ndindex(x.shape):
    found[place] = (loss(x + nudge) - loss(x - nudge)) / (2 * nudge)
return found
""",
            "at a time",
        ),
        (
            """
found = np.zeros(x.shape)
for place in np.ndindex(x.shape):
    moved = x.copy()
    moved[place] += nudge
    found[place] = (loss(moved) - loss(x)) / nudge
return found
""",
            "central difference",
        ),
        (
            """
found = np.zeros(x.shape)
for place in range(len(x)):
    up, down = x.copy(), x.copy()
    up[place] += nudge
    down[place] -= nudge
    found[place] = (loss(up) - loss(down)) / (2 * nudge)
return found
""",
            "rows and columns",
        ),
    ],
    "average_pool_backward": [
        ("return g / 4", "shape is still that of the small maps"),
        ("return np.repeat(np.repeat(g, 2, 0), 2, 1) / 4", "last two axes"),
        (
            """
found = np.zeros((*g.shape[:2], 2 * g.shape[2], 2 * g.shape[3]))
found[:, :, ::2, ::2] = g
return found
""",
            "max-pooling",
        ),
    ],
    "strided_kernel_gradient": [
        (
            """
found = np.zeros((side, side))
for r in range(g.shape[0]):
    for c in range(g.shape[1]):
        found += g[r, c] * x[r * stride : r * stride + side, c * stride : c * stride + side]
return found / g.size
""",
            "mean over the windows",
        ),
        (
            """
found = np.zeros((side, side))
for r in range(g.shape[0]):
    for c in range(g.shape[1]):
        found += g[r, c] * x[r * stride : r * stride + 2, c * stride : c * stride + 2]
return found
""",
            "right for kernels of 2 × 2",
        ),
    ],
    "pixel_gradient": [
        (
            """
windows = np.lib.stride_tricks.sliding_window_view(np.pad(g, len(w) - 1), w.shape)
return (windows * w).sum(axis=(2, 3))
""",
            "or not at all",
        ),
        (
            """
if len(w) > min(g.shape):
    return np.zeros((g.shape[0] + len(w) - 1, g.shape[1] + len(w) - 1))
windows = np.lib.stride_tricks.sliding_window_view(g, w.shape)
return (windows * w[::-1, ::-1]).sum(axis=(2, 3))
""",
            "Zeros have to surround",
        ),
    ],
    "batch_norm_backward": [
        ("return (g - g.mean(1, keepdims=True)) / x.std(0)", "Three ways lead"),
        ("return (g - g.mean(0)) / x.std(0)", "The deviation depends"),
        (
            """
y = (x - x.mean(0)) / x.std(0)
return g - g.mean(0) - y * (g * y).mean(0)
""",
            "missing at the end",
        ),
    ],
    "skip_backward": [
        ("return sum(backward(g) for backward in backwards) + g", "what the block after it passes on"),
        (
            """
start = g
for backward in backwards[::-1]:
    g = backward(g)
return start + g
""",
            "one skip over all blocks",
        ),
    ],
    "kept_bytes": [
        ("return 4 * sum(a * b + b for a, b in zip(sizes, sizes[1:]))", "These are the weights"),
        ("return batch * sum(sizes[:-1]) * 4", "The ReLUs keep something"),
        ("return batch * (4 * sum(sizes) + sum(sizes[1:-1]))", "logits are counted"),
    ],
    # 9 · Beyond the data
    "energy": [
        ("return -logits.exp().sum(1).log()", "where logits are large"),
        ("return -logits.max(1).values", "largest logit alone"),
        ("return -(logits - logits.amax(1, keepdim=True)).exp().sum(1).log()", "never added again"),
        ("return torch.log(logits.exp().sum(1))", "For each image"),
    ],
    "confidence_at": [
        ("return logits.softmax(1).amax(1) / temperature", "The confidence is divided"),
        ("return (logits / temperature).softmax(1)", "The confidence is the largest"),
        ("return logits.softmax(1).amax(1)", "not used"),
    ],
    "caught": [
        ("return (strange > digits.max()).float().mean()", "No digit at all is refused"),
        ("return (strange > digits.quantile(1 - refused)).float().mean() * 100", "First the threshold"),
        ("return (digits > digits.sort().values[-1 - int(refused * len(digits))]).float().mean()", "share of digits"),
    ],
    "threshold_for": [
        (
            """
best = 1.0
for threshold in confidence.sort(descending=True).values:
    if (~right[confidence >= threshold]).float().mean() > risk:
        break
    best = threshold.item()
return best
""",
            "Look at all thresholds",
        ),
        ("return 1 - risk", "no threshold"),
        ("return confidence[right].min().item()", "least sure right answer"),
    ],
    "within": [
        ("return images + epsilon * (changed - images).sign()", "Two limits"),
        ("return (changed - images).clamp(-epsilon, epsilon)", "the change alone"),
        ("return images", "image as it was"),
    ],
    "towards": [
        (
            """
pixels = images.clone().requires_grad_()
loss = F.cross_entropy(model(pixels).softmax(1), wanted)
return (images - epsilon * torch.autograd.grad(loss, pixels)[0].sign()).clamp(0, 1)
""",
            "softmax is applied twice",
        ),
        ("return images.clone()", "Nothing has changed"),
        (
            """
for parameter in model.parameters():
    parameter.requires_grad = False
pixels = images.clone().requires_grad_()
F.cross_entropy(model(pixels), wanted).backward()
return (images - epsilon * pixels.grad.sign()).clamp(0, 1)
""",
            "left frozen",
        ),
    ],
    # 10 · Honest evaluation
    "too_good": [
        ("return right[:, shown].float().mean() - right[:, ~shown].float().mean()", "all networks together"),
        ("return right[:, shown].float().mean(1).max()", "Take the truth off"),
    ],
    "hold_out_writers": [
        ("return torch.arange(len(writers)) < least", "whoever wrote them"),
        (
            """
held = torch.zeros(len(writers), dtype=torch.bool)
held[writers.argsort(descending=True, stable=True)[:least]] = True
return held
""",
            "in both parts",
        ),
    ],
    "p_value": [
        (
            """
a, b = int((first & ~second).sum()), int((~first & second).sum())
return min(1.0, 2 * sum(math.comb(a + b, k) for k in range(max(a, b) + 1)) / 2 ** (a + b))
""",
            "more frequent side",
        ),
        (
            """
a, b = int((~first).sum()), int((~second).sum())
return min(1.0, 2 * sum(math.comb(a + b, k) for k in range(min(a, b) + 1)) / 2 ** (a + b))
""",
            "mistakes of each",
        ),
    ],
    "images_needed": [
        ("return math.ceil(7.84 / (only_first - only_second) ** 2)", "most images say nothing"),
        ("return 7.84 * (only_first + only_second) / (only_first - only_second) ** 2", "no parts of images"),
    ],
    "rejected": [
        ("return torch.stack([row.mode().values for row in votes]) != labels", "most frequent vote"),
        ("return ((votes == labels[:, None]).sum(1) < 3).sum()", "Say for each label"),
    ],
    "suspect_labels": [
        ("return p.argmax(1) != labels", "every label that the network does not read"),
        (
            """
thresholds = torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])
return p[range(len(p)), labels] < thresholds[labels]
""",
            "sure of another one",
        ),
    ],
    "spell": [
        (
            """
kept = [label for label in path if label != 10]
return "".join(str(a) for a, b in zip(kept, [None] + kept) if a != b)
""",
            "melt into one",
        ),
        ('return "".join(str(label) for label in path if label != 10)', "Repeats are still there"),
    ],
    "in_every_window": [
        (
            """
side = int((weight.shape[1] / len(maps)) ** 0.5)
windows = maps.unfold(1, side, 1).unfold(2, side, 1).permute(1, 2, 0, 3, 4).flatten(2)
return windows @ weight.T + bias
""",
            "outputs come first",
        ),
        (
            """
side = int((weight.shape[1] / len(maps)) ** 0.5)
return F.conv2d(maps[None], weight.view(-1, len(maps), side, side))[0]
""",
            "bias is missing",
        ),
    ],
    "begin_of_right": [
        (
            """
columns, others = left.any(0).nonzero(), right.any(0).nonzero()
return int(columns[-1]) - int(others[0]) + gap + 1
""",
            "white *columns*",
        ),
        ("return left.shape[1] + gap", "Only ink does"),
    ],
    "count_paths": [
        (
            """
import math

return math.comb(columns + len(text), columns - len(text)) if columns >= len(text) else 0
""",
            "read as one",
        ),
        ("return 11 ** columns", "all paths"),
    ],
    "number_probability": [
        (
            """
import itertools

best = 0.0
states = [10] + [n for digit in text for n in (int(digit), 10)]
total = [float(p[0, s]) if i < 2 else 0.0 for i, s in enumerate(states)]
for row in p[1:].tolist():
    new = []
    for i, s in enumerate(states):
        ways = [total[i]] + ([total[i - 1]] if i else [])
        if i > 2 and i % 2 and s != states[i - 2]:
            ways.append(total[i - 2])
        new.append(max(ways) * row[s])
    total = new
return max(total[-2:])
""",
            "best single path",
        ),
        (
            """
states = [10] + [s for digit in text for s in (int(digit), 10)]
total = torch.zeros(len(states), dtype=p.dtype)
total[:2] = p[0, states[:2]]
for column in p[1:]:
    new = total.clone()
    new[1:] += total[:-1]
    for i in range(3, len(states), 2):
        new[i] += total[i - 2] * (states[i] != states[i - 2])
    total = new * column[states]
return total[-1].item()
""",
            "end with the last digit",
        ),
    ],
    "digit_error_rate": [
        ("return sum(a != b for a, b in zip(read, truth)) / len(truth)", "not wholly right"),
        (
            """
wrong = sum(x != y for a, b in zip(read, truth) for x, y in zip(a, b))
return wrong / sum(map(len, truth))
""",
            "as far as the shorter",
        ),
    ],
}
