"""Unusual right answers: the bodies of functions that few learners write, and that must be accepted."""

RIGHT = {
    "confusion": [
        """
pairs = [(row, column) for row in range(10) for column in range(10)]
return torch.stack([((labels == row) & (predictions == column)).sum() for row, column in pairs]).view(10, 10)
""",
        """
return torch.zeros(10, 10).index_put_((labels, predictions), torch.ones(len(labels)), accumulate=True)
""",
        """
return torch.histc((labels * 10 + predictions).float(), bins=100, min=0, max=99).view(10, 10)
""",
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
        """
return torch.stack([matrix[digit, digit] / matrix.sum(0)[digit], matrix[digit, digit] / matrix.sum(1)[digit]])
""",
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
    ],
    "as_picture": [
        """
return (kernel / torch.max(kernel.abs()) + 1) / 2
""",
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
        """
return torch.unravel_index(values.argmax(), values.shape)
""",
        """
best = (0, 0)
for r in range(values.shape[0]):
    for c in range(values.shape[1]):
        if values[r, c] > values[best]:
            best = (r, c)
return best
""",
        """
return (values == values.max()).nonzero()[0]
""",
        """
return values.amax(1).argmax().item(), values.amax(0).argmax().item()
""",
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
    ],
    "saliency": [
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
        """
return torch.cdist(embedded[one:one + 1], embedded)[0].argsort()[1:count + 1]
""",
        """
return torch.topk((embedded - embedded[one]).norm(dim=1), count + 1, largest=False).indices[1:]
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
        """
return dict(reversed(list(zip(val_accuracies, test_accuracies))))[max(val_accuracies)]
""",
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
}
