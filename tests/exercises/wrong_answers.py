"""Typical wrong answers, as edits of the solutions: what stands there, what a learner writes, and its hint."""

WRONG = {
    # 1 · The data
    "sizes": [
        ('"big"', '"little"', "wrong order"),
        ("range(4, 4 + 4 * raw[3], 4)", "range(0, 4 * raw[3], 4)", "signature"),
        ("4 * raw[3]", "4 * 3", "three sizes from every file"),
    ],
    "image_at": [
        ("16 + index", "index", "16 bytes too early"),
        ("np.uint8", "np.int8", "no sign"),
        ("reshape(rows, columns)", "reshape(columns, rows)", "rows of the wrong length"),
        ("reshape(rows, columns)", "reshape(rows, columns).T", "Rows and columns are exchanged"),
        ("16 + index", "16 + (index - 1)", "the image before"),
    ],
    "class_shares": [
        (" / len(labels)", "", "counts"),
        (", minlength=10", "", "ten shares"),
        ("/ len(labels)", "/ 10", "add up to 1"),
        ("torch.bincount", "100 * torch.bincount", "percentages"),
    ],
    "standardise": [
        ("(pixels - pixels.mean()) / pixels.std()", "pixels / 255", "between 0 and 1"),
        (" / pixels.std()", "", "Divide by it"),
        ("pixels.std()", "pixels.var()", "square root"),
        ("pixels.mean()) / pixels.std()", "pixels.mean(0)) / pixels.std(0)", "Each pixel has a scale"),
        ("(pixels - pixels.mean()) / pixels.std()", "pixels - pixels.mean() / pixels.std()", "brackets"),
        ("/ pixels.std()", "/ 255", "255 is not"),
    ],
    "nearest_mean": [
        ("argmin", "argmax", "farthest away"),
        ("means.flatten(1))", "means.flatten(1), p=1)", "absolute differences"),
        (
            "means = torch.stack([images[labels == digit].mean(dim=0) for digit in range(10)])\n    return torch.cdist("
            "others.flatten(1), means.flatten(1)).argmin(dim=1)",
            "return labels[torch.cdist(others.flatten(1), images.flatten(1)).argmin(dim=1)]",
            "single images",
        ),
    ],
    "hold_out": [
        ("to_train[held] = False", "pass", "in both parts"),
        ("[:each]", "[:2 * each]", "it should be"),
        ("range(10)", "range(9)", "it should be"),
        ("torch.nonzero(to_train).flatten(), held", "torch.nonzero(to_train).flatten()[1:], held", "neither part"),
        ("torch.nonzero(to_train).flatten(), held", "held", "two tensors"),
        ("torch.nonzero(to_train).flatten(), held", "labels[to_train], labels[held]", "look like labels"),
    ],
    "shift": [
        (
            "torch.nn.functional.pad(images, (right, -right, down, -down))",
            "images.roll((down, right), (2, 3))",
            "circle",
        ),
        ("(right, -right, down, -down)", "(-right, right, -down, down)", "the other way"),
        ("(right, -right, down, -down)", "(down, -down, right, -right)", "Rows and columns"),
    ],
    # 2 · The model
    "convolve": [
        ("under * kernel", "under * kernel.flip(0, 1)", "turned around"),
        ("- height + 1, image.shape[1] - width + 1", "- height, image.shape[1] - width", "last row and column"),
        (".sum()", ".mean()", "mean of the products"),
        (
            "height, width = kernel.shape",
            "return F.conv2d(image[None, None], kernel[None, None])[0, 0]",
            "without it",
        ),
    ],
    "side_after": [
        (" + 1", "", "first place is not counted"),
        ("2 * padding", "padding", "one end only"),
        (" // stride", "", "stride is not used"),
        ("//", "/", "half places"),
    ],
    "pool": [
        ("amax", "mean", "mean of each square"),
        ("values.reshape(rows // 2, 2, columns // 2, 2).amax(dim=(1, 3))", "values[::2, ::2]", "upper left"),
        ("amax(dim=(1, 3))", "amax(dim=(1, 3)).clamp(min=0)", "negative"),
        (
            "rows, columns = values.shape",
            "return nn.FractionalMaxPool2d(2, output_ratio=0.5)(values[None])[0]",
            "without it",
        ),
    ],
    "parameters": [
        ("channels * size**2 + 1", "channels * size**2", "biases are missing"),
        ("channels * size**2", "size**2", "each* input channel"),
        ("channels * size**2 + 1", "channels * (size**2 + 1)", "not for each of its kernels"),
        ("size**2", "size", "size × size"),
        ("size**2", "(size ^ 2)", "no power"),
    ],
    "receptive_field": [
        ("apart *= stride", "pass", "strides are not used"),
        (
            "seen += (kernel - 1) * apart\n        apart *= stride",
            "apart *= stride\n        seen += (kernel - 1) * apart",
            "Add first, then multiply",
        ),
        ("seen, apart = 1, 1", "seen, apart = 0, 1", "at least itself"),
        ("in layers", "in reversed(layers)", "wrong order"),
        ("seen, apart = 1, 1", "layers.reverse()\n    seen, apart = 1, 1", "list(…)"),
    ],
    "cross_entropy": [
        ("logits.logsumexp(dim=1)", "logits.exp().sum(dim=1).log()", "infinite"),
        (".mean()", ".sum()", "sum over the images"),
        ("logits.logsumexp(dim=1) - of_label", "of_label - logits.logsumexp(dim=1)", "sign is turned"),
        ("of_label = logits[", "logits = logits.softmax(dim=1)\n    of_label = logits[", "twice"),
        (
            "return (logits.logsumexp(dim=1) - of_label).mean()",
            "z = logits - logits.max()\n"
            "    return (z.exp().sum(dim=1).log() - z[torch.arange(len(labels)), labels]).mean()",
            "*all* images",
        ),
        ("logits.logsumexp(dim=1) - of_label", "logits.double().exp().sum(dim=1).log() - of_label", "infinite"),
        (
            "(logits.logsumexp(dim=1) - of_label).mean()",
            "F.kl_div(logits.log_softmax(1), F.one_hot(labels, 10).float(), reduction='batchmean')",
            "without it",
        ),
    ],
    "small_network": [
        ("nn.Conv2d(1, 8, 5)", "nn.Conv2d(1, 80, 5)", "RuntimeError"),
        ("nn.Conv2d(1, 8, 5)", "nn.Conv2d(1, 8, 5, bias=True), nn.Conv2d(8, 8, 9, padding=4)", "5,000 at most"),
        ("nn.Linear(288, 10)", "nn.Linear(288, 9)", "should return (1, 10)"),
        (
            "return nn.Sequential(",
            "return nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.Linear(6, 10))\n    nn.Sequential(",
            "No convolution",
        ),
        ("nn.Linear(288, 10)", "nn.Linear(288, 10), nn.Softmax(dim=1)", "probabilities"),
        ("nn.Linear(288, 10)", "nn.Linear(288, 10), nn.ReLU()", "ever negative"),
        ("nn.Flatten(),", "nn.Flatten(0), nn.Unflatten(0, (1, -1)),", "cannot be used"),
        ("    return nn.Sequential(", "    nn.Sequential(", "returns None"),
    ],
    # 3 · Training
    "epoch_of_batches": [
        ("torch.randperm(count)", "torch.arange(count)", "not shuffled"),
        ("torch.randperm(count)", "torch.randint(count, (count,))", "come twice"),
        ("torch.randperm(count)", "torch.arange(count).flip(0)", "not shuffled"),
        (
            "list(torch.randperm(count).split(size))",
            "[part[torch.randperm(len(part))] for part in torch.arange(count).split(size)]",
            "always share a batch",
        ),
        (
            "return list(torch.randperm(count).split(size))",
            "return list(torch.randperm(count).split(size))[:-1]",
            "lost",
        ),
        ("torch.randperm(count)", "torch.randperm(count, generator=torch.Generator().manual_seed(0))", "same order"),
        (
            "list(torch.randperm(count).split(size))",
            "[torch.randperm(count)[at : at + size] for at in range(0, count, size)]",
            "one order",
        ),
    ],
    "step": [
        ("weights - lr", "weights + lr", "uphill"),
        ("lr * gradient", "gradient", "learning rate is not used"),
        (" / len(y)", "", "sum of the squared errors"),
        ("2 * x.T", "x.T", "factor of 2"),
    ],
    "train_step": [
        ("    optimizer.zero_grad()\n", "", "zero_grad"),
        ("model(images)", "model(images).softmax(dim=1)", "softmax itself"),
        ("    loss.backward()\n    optimizer.step()\n", "", "did not change"),
        (
            "    loss.backward()\n    optimizer.step()\n",
            "    optimizer.step()\n    loss.backward()\n",
            "did not change",
        ),
        (
            "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n",
            "    optimizer.step()\n    optimizer.zero_grad()\n    loss.backward()\n",
            "first `backward`",
        ),
        ("    return loss", "    return None", "Return the loss"),
        ("    return loss", "    return F.cross_entropy(model(images), labels)", "after the step"),
        ("    return loss", "    return loss, model", "a tuple"),
        ("    loss.backward()\n", "    loss.backward()\n    optimizer.zero_grad()\n", "cleared between"),
    ],
    "early_stopping": [
        ("loss < losses[best]", "loss <= losses[best]", "does not count as better"),
        ("epoch - best == patience", "epoch - best > patience", "too long"),
        ("epoch - best == patience", "epoch - best == patience - 1", "too early"),
        (
            "best = epoch\n        if epoch - best == patience",
            "best = epoch\n        bad = sum(b >= min(losses[:i]) for i, b in enumerate(losses) if 0 < i <= epoch)\n"
            "        if bad == patience",
            "Begin again at 0",
        ),
        ("return best, epoch", "return losses.index(min(losses)), epoch", "never trained"),
        ("if epoch - best == patience:", "if False:", "never stops"),
        ("    best = 0\n", "    losses = [1.0, *losses]\n    best = 0\n", "counted from 1"),
    ],
    "learning_rate": [
        (
            "    if at < warm_up:\n        return peak * at / warm_up\n    way = (at - warm_up) / (steps - warm_up)",
            "    way = at / steps",
            "warm-up is missing",
        ),
        ("(at - warm_up) / (steps - warm_up)", "at / steps", "share of its way is 0"),
        ("peak * (1 + math.cos(math.pi * way)) / 2", "peak * math.cos(math.pi * way)", "negative"),
        ("peak * (1 + math.cos(math.pi * way)) / 2", "peak * (1 - way)", "straight line"),
        ("return peak * at / warm_up", "return peak * (at + 1) / warm_up", "too high"),
        ("return peak * at / warm_up", "return peak", "rises, from 0"),
        ("(1 + math.cos(math.pi * way)) / 2", "(1 + math.cos(math.pi * way))", "twice"),
    ],
    "smoothed": [
        (" * (1 - amount) + amount / 10", ".float()", "Nothing is smoothed"),
        ("amount / 10", "amount", "more than 1"),
        (" * (1 - amount)", "", "more than 1"),
        (
            "F.one_hot(labels, 10) * (1 - amount) + amount / 10",
            "F.one_hot(labels, 10) * (1 - amount) + (1 - F.one_hot(labels, 10)) * amount / 9",
            "nine wrong classes",
        ),
    ],
    "dropped": [
        (" / (1 - share)", "", "scale up"),
        ("/ (1 - share)", "/ share", "share that is dropped"),
        ("* kept", "* ~kept", "should be kept"),
        ("/ (1 - share)", "* (1 - share)", "scales down"),
        (" * kept / (1 - share)", "", "Nothing is dropped"),
    ],
    "trained_within_budget": [
        ("range(5)", "range(0)", "guessing"),
        ("nn.Linear(128, 10)", "nn.Linear(128, 100), nn.Linear(100, 10)", "10,000 at most"),
        ("    return model", "    return model(images)", "returned a Tensor"),
        (
            "    return model",
            "    class Table(nn.Module):\n"
            "        def __init__(self):\n"
            "            super().__init__()\n"
            "            self.scale = nn.Parameter(torch.ones(1))\n"
            "        def forward(self, asked):\n"
            "            asked = asked.detach()\n"
            "            pairs = zip(to_float(val.images), val.labels, strict=True)\n"
            "            known = {image.numpy().tobytes(): label for image, label in pairs}\n"
            "            found = torch.tensor([known.get(i.numpy().tobytes(), 0) for i in asked])\n"
            "            return F.one_hot(found, 10) * self.scale\n"
            "    return Table()",
            "All count",
        ),
    ],
    # 4 · Evaluation
    "confusion": [
        ("matrix[label, prediction]", "matrix[prediction, label]", "exchanged"),
        ("return matrix", "return matrix[:9, :9]", "ten rows"),
        ("return matrix", "return matrix / len(labels)", "shares"),
        (
            "    for label, prediction in zip(labels.tolist(), predictions.tolist(), strict=True):\n"
            "        matrix[label, prediction] += 1\n",
            "    matrix[labels, predictions] += 1\n",
            "counted once",
        ),
        ("] += 1", "] = 1", "add to what is there"),
        ("(10, 10", "([int(max(labels.max(), predictions.max())) + 1] * 2", "ten rows"),
        ("return matrix", "return matrix / matrix.sum(dim=1, keepdim=True)", "shares"),
        ("return matrix", "return matrix.fill_diagonal_(0)", "Only the mistakes"),
    ],
    "precision_and_recall": [
        (
            "return (found / matrix[:, digit].sum()).item(), (found / matrix[digit].sum()).item()",
            "return (found / matrix[digit].sum()).item(), (found / matrix[:, digit].sum()).item()",
            "exchanged",
        ),
        (
            "return (found / matrix[:, digit].sum()).item(), (found / matrix[digit].sum()).item()",
            "return (found / matrix.sum()).item(), (found / matrix.sum()).item()",
            "all images",
        ),
        (
            "return (found / matrix[:, digit].sum()).item(), (found / matrix[digit].sum()).item()",
            "return (found / matrix[:, digit].sum()).item()",
            "tuple of length 2",
        ),
        ("found / matrix[digit].sum()", "found / matrix[:, digit].sum()", "sum of the column"),
        ("found / matrix", "100 * found / matrix", "percentages"),
        ("found / matrix", "found // matrix", "throws away"),
        (
            "return (found / matrix[:, digit].sum()).item(), (found / matrix[digit].sum()).item()",
            "return matrix.diag() / matrix.sum(dim=0), matrix.diag() / matrix.sum(dim=1)",
            "all ten digits",
        ),
    ],
    "interval": [
        ("1.96", "1.0", "68%"),
        ("p, z = right / count", "p, z = 1 - right / count", "*wrong*"),
        (
            "return (middle - half) / scale, (middle + half) / scale",
            "return p - z * math.sqrt(p * (1 - p) / count), p + z * math.sqrt(p * (1 - p) / count)",
            "normal distribution",
        ),
        (
            "return (middle - half) / scale, (middle + half) / scale",
            "return (middle + half) / scale, (middle - half) / scale",
            "lower end",
        ),
        ("(2 * count)", "2 * count", "brackets"),
        ("(4 * count**2)", "4 * count**2", "brackets"),
        ("(4 * count**2)", "(4 * count)", "n is squared"),
        ("scale = 1 + z**2 / count", "scale = 1", "below the long line"),
        ("z * math.sqrt", "math.sqrt", "multiplied by z"),
        (
            "return (middle - half) / scale, (middle + half) / scale",
            "return middle - half / scale, middle + half / scale",
            "Only a part",
        ),
        (
            "return (middle - half) / scale, (middle + half) / scale",
            "return middle / scale, half / scale",
            "half its width",
        ),
    ],
    "calibration_error": [
        ("gap.abs()", "gap", "without its sign"),
        ("bins = (confidence * 10).long()", "bins = torch.zeros(len(confidence)).long()", "no bins"),
        ("    error = torch.zeros(())\n", "    return (confidence - correct.float()).abs().mean()\n", "single images"),
        ("bins.unique()", "bins[bins > 0].unique()", "first bin"),
        ("gap.abs()", "100 * gap.abs()", "percentages"),
        ("gap.abs()", "gap**2", "squared"),
        ("inside.float().mean() * gap.abs()", "gap.abs() / len(bins.unique())", "count the same"),
        ("bins.unique()", "range(10)", "empty bin"),
        ("bins.unique()", "bins[bins < 9].unique()", "last bin"),
        ("confidence[inside].mean()", "number / 10 + 0.05", "middle of the bin"),
    ],
    "confident_mistakes": [
        ("predictions != labels", "predictions == labels", "These were right"),
        ("descending=True", "descending=False", "least confident"),
        ("logits.softmax(dim=1).max", "logits.max", "no confidence"),
        ("wrong = torch.nonzero(predictions != labels).flatten()", "wrong = torch.arange(len(labels))", "were wrong"),
        (
            "wrong[confidence[wrong].argsort(descending=True)]",
            "confidence[wrong].argsort(descending=True)",
            "among all images",
        ),
        ("wrong[confidence[wrong].argsort(descending=True)]", "wrong", "order of the images"),
        (
            "confidence, predictions = logits.softmax(dim=1).max(dim=1)",
            "predictions = logits.argmax(dim=1)\n"
            "    confidence = torch.nn.functional.cross_entropy(logits, labels, reduction='none')",
            "probability of the label",
        ),
        (
            "wrong[confidence[wrong].argsort(descending=True)]",
            "confidence[wrong].sort(descending=True).values",
            "These are the confidences",
        ),
        (
            "wrong[confidence[wrong].argsort(descending=True)]",
            "predictions[wrong[confidence[wrong].argsort(descending=True)]]",
            "digits that were read",
        ),
        ("softmax(dim=1)", "softmax(dim=0)", "along the images"),
    ],
    "ambiguous": [
        ("argsort()", "argsort(descending=True)", "clearest"),
        (".softmax(dim=1)", "", "order of the logits"),
        ("(largest[:, 0] - largest[:, 1])", "largest[:, 0]", "smallest largest"),
        ("argsort()[:count]", "sort().values[:count]", "These are the differences"),
        ("argsort()[:count]", "argsort(descending=True)[-count:]", "order is turned"),
        ("softmax(dim=1)", "softmax(dim=0)", "along the images"),
        (
            "largest = logits.softmax(dim=1).topk(2, dim=1).values",
            "return torch.distributions.Categorical(logits=logits).entropy().argsort(descending=True)[:count]",
            "entropy",
        ),
    ],
    "coverage_and_accuracy": [
        (">=", ">", "just that confidence"),
        (">=", "<", "doubtful"),
        ("correct[answered]", "correct", "all images"),
        ("correct[answered]", "(correct & answered)", "among the kept"),
        (">=", "<=", "doubtful"),
        (".float().mean().item()", ".float().mean().item() * 100", "percentages"),
        (".float().mean()", ".sum()", "counts"),
        ("return answered.float().mean().item()", "return answered.sum().item()", "The first is a count"),
        (
            "answered.float().mean().item(), correct[answered].float().mean().item()",
            "correct[answered].float().mean().item(), answered.float().mean().item()",
            "exchanged",
        ),
    ],
    # 5 · Filters
    "as_picture": [
        (" / (2 * kernel.abs().max()) + 0.5", " / kernel.abs().max()", "between -1 and 1"),
        ("kernel.abs().max()", "kernel.max()", "*absolute* weight"),
        (
            "return kernel / (2 * kernel.abs().max()) + 0.5",
            "return kernel.abs() / kernel.abs().max()",
            "signs are lost",
        ),
        (
            "return kernel / (2 * kernel.abs().max()) + 0.5",
            "return (kernel - kernel.min()) / (kernel.max() - kernel.min())",
            "another grey",
        ),
        ("kernel / (2 * kernel.abs().max())", "kernel / 8", "One factor"),
        ("kernel / (2", "-kernel / (2", "negative"),
        ("(2 * kernel.abs().max())", "kernel.abs().max()", "half of the factor"),
        (" / (2 * kernel.abs().max()) + 0.5", ".clamp(-0.5, 0.5) + 0.5", "cuts off"),
        ("kernel / (2 * kernel.abs().max()) + 0.5", "kernel.sigmoid()", "sigmoid"),
        ("(2 * kernel.abs().max())", "(kernel.max() - kernel.min())", "whole range"),
    ],
    "strongest_place": [
        ("divmod(values.argmax().item(), values.shape[1])", "values.argmax()", "One number"),
        ("values.shape[1])", "values.shape[1])[::-1]", "exchanged"),
        ("values.shape[1]", "values.shape[0]", "divide by the width"),
        ("values.argmax", "values.abs().argmax", "absolute number"),
        ("argmax", "argmin", "smallest"),
        ("divmod(values.argmax().item(), values.shape[1])", "values.max()", "number itself"),
        (
            "divmod(values.argmax().item(), values.shape[1])",
            "values.argmax() // values.shape[1], values.argmax() % values.shape[0]",
            "One of the two",
        ),
        ("divmod(values.argmax().item(), values.shape[1])", "values.sum(1).argmax(), values.sum(0).argmax()", "sums"),
    ],
    "silenced_logits": [
        ("    finally:\n        handle.remove()", "    finally:\n        pass", "has to be removed"),
        ("output[:, index] = 0", "pass", "No filter is silent"),
        (
            "handle = model.get_submodule(layer).register_forward_hook(mute)",
            "model.get_submodule(layer).weight.data[index] = 0\n    model.get_submodule(layer).bias.data[index] = 0\n"
            "    return model(images)",
            "as if the filter were silent",
        ),
        (
            "handle = model.get_submodule(layer).register_forward_hook(mute)",
            "weight = model.get_submodule(layer).weight\n    before = weight.data.clone()\n    weight.data[index] = 0\n"
            "    logits = model(images).detach()\n    weight.data = before\n    return logits",
            "bias still speaks",
        ),
        ("        handle.remove()", "        handle.remove()\n        model.train()", "another mode"),
        ("return output", "pass", "No filter is silent"),
        ("output[:, index] = 0", "output[index] = 0", "image number"),
        ("output[:, index] = 0", "output[:] = 0", "whole layer"),
        ("model.get_submodule(layer).register", "model.conv1.register", "right for conv1 alone"),
        ("return model(images)", "return model(images).softmax(dim=1)", "probabilities"),
        (
            "        handle.remove()",
            "        handle.remove()\n        images.zero_()",
            "changes what it was given",
        ),
    ],
    "saliency": [
        (".abs()", "", "absolute value"),
        ("model(pixels)[0, label]", "model(pixels).softmax(dim=1)[0, label]", "probability"),
        ("model(pixels)[0, label]", "model(pixels).sum()", "all ten logits"),
        ("image.clone()", "image", "changes what it was given"),
        (".abs()", ".abs().T", "exchanged"),
        (".abs()", " ** 2", "squared"),
        ("return pixels.grad[0, 0].abs()", "return pixels.grad[0, 0].abs() / pixels.grad.abs().max()", "scaled"),
        (".abs()", ".relu()", "Negative gradients"),
        ("model(pixels)[0, label]", "model(pixels).max()", "largest logit"),
        ("pixels = ", "model.requires_grad_(False)\n    pixels = ", "frozen"),
    ],
    "covering_losses": [
        (
            "before - model(covered).softmax(dim=1)[0, label]",
            "model(covered).softmax(dim=1)[0, label] - before",
            "sign is turned",
        ),
        (" + 4] = 0", " + 4] = 1", "covers with ink"),
        ("return losses", "return losses.T", "Rows and columns"),
        (".softmax(dim=1)", "", "compares logits"),
        (
            "                covered = image.clone()\n",
            "                covered = image if row + column else image.clone()\n",
            "changes what it was given",
        ),
        ("4 * row : 4 * row + 4, 4 * column : 4 * column + 4", "row : row + 4, column : column + 4", "overlap"),
        ("4 * row + 4, 4 * column : 4 * column + 4", "4 * row + 3, 4 * column : 4 * column + 3", "3 × 3"),
        ("before - model(covered)", "model(covered)", "with a square covered"),
        ("return losses", "return losses.abs()", "sign is lost"),
        ("return losses", "return losses / before", "divides"),
        ("    losses = ", "    label = model(image).argmax().item()\n    losses = ", "that the network reads"),
    ],
    "neighbours": [
        ("    distance[one] = torch.inf\n", "", "the image itself"),
        (
            "distance = (embedded - embedded[one]).norm(dim=1)",
            "distance = -(embedded @ embedded[one])",
            "far from the origin",
        ),
        (".norm(dim=1)", ".abs().sum(dim=1)", "absolute differences"),
        (
            "distance = (embedded - embedded[one]).norm(dim=1)",
            "distance = -torch.cosine_similarity(embedded, embedded[one][None])",
            "directions",
        ),
        ("argsort()[:count]", "sort().values[:count]", "These are the distances"),
        ("argsort()[:count]", "argsort()[:count].sort().values", "order of their indices"),
        (
            "    distance[one] = torch.inf\n    return distance.argsort()[:count]",
            "    return distance.argsort()[1:count]",
            "One is missing",
        ),
    ],
    "worth": [
        ("before - torch.stack(after)", "torch.stack(after) - before", "sign is turned"),
        ("before - torch.stack(after)", "torch.stack(after)", "Subtract them"),
        ("before - torch.stack(after)", "100 * (before - torch.stack(after))", "percentage points"),
        ("before - torch.stack(after)", "(before - torch.stack(after)).abs()", "sign is lost"),
        ("before - torch.stack(after)", "(before - torch.stack(after)) * len(labels)", "counts"),
        (
            "(silenced_logits(model, layer, index, images).argmax(dim=1) == labels).float().mean()",
            "(model.get_submodule(layer).register_forward_hook("
            "lambda _l, _g, out, index=index: out * (torch.arange(out.shape[1]) != index)[:, None, None])"
            " and model(images).argmax(dim=1) == labels).float().mean()",
            "piles up",
        ),
        ("before - torch.stack(after)", "1 - torch.stack(after) / before", "divides by the accuracy"),
        ("before - torch.stack(after)", "(before - torch.stack(after)).relu()", "cut off"),
        ("    with torch.no_grad():\n", "    model.requires_grad_(False)\n    with torch.no_grad():\n", "frozen"),
    ],
    # 6 · The clinic: what comes in, and repairs that do not heal
    "patient_1": [
        ("        optimizer.zero_grad()\n", "", "Which call forgets them"),
        (
            "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n",
            "        pass\n",
            "has not changed",
        ),
        (
            "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n",
            "        loss.backward()\n        optimizer.step()\n        optimizer.zero_grad()\n"
            "        F.cross_entropy(model(batch), wanted).backward()\n",
            "computed again",
        ),
        (
            "in zip(images.split(32), labels.split(32), strict=True):\n",
            "in zip(images.split(32), labels.split(32), strict=True):\n"
            "        if len(batch) < 32:\n            continue\n",
            "last batch",
        ),
        ("lr=0.1", "lr=0.01", "The rate"),
        (
            "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n",
            "        optimizer.step()\n        optimizer.zero_grad()\n        loss.backward()\n",
            "before its gradient",
        ),
    ],
    "patient_2": [
        ("model(batch), wanted", "model(batch).softmax(dim=1), wanted", "still applied twice"),
        ("F.cross_entropy(model(batch), wanted)", "F.nll_loss(model(batch), wanted)", "gets logits"),
        (
            "F.cross_entropy(model(batch), wanted)",
            "F.nll_loss(model(batch).softmax(dim=1), wanted)",
            "logarithm is missing",
        ),
        (
            "zip(images.split(32), labels.split(32), strict=True)",
            "zip(images.split(32) * 3, labels.split(32) * 3, strict=True)",
            "three epochs",
        ),
        ("        optimizer.zero_grad()\n", "", "Which call forgets them"),
        ("        optimizer.step()\n", "", "has not changed"),
        ("lr=0.1", "lr=0.5", "not the fault"),
    ],
    "patient_3": [
        ("    model.eval()\n", "", "dropout is still at work"),
        ("    model.train()\n", "", "without dropout"),
        ("    return loss", "    return None", "Return the loss"),
        ("    model.eval()\n", "    torch.manual_seed(0)\n", "dice"),
        ("    return loss", "    return [loss, model]", "a list"),
        (
            "        loss = F",
            "        pass\n    F.cross_entropy(model(images), labels).backward()\n"
            "    with torch.no_grad():\n        loss = F",
            "no gradient",
        ),
        (
            "F.cross_entropy(model(images), labels)",
            "(model(images).argmax(dim=1) == labels).float().mean()",
            "accuracy",
        ),
        ("model(images), labels", "model(images), labels, reduction='sum'", "added up"),
        ("model(images), labels).item()", "model(images), labels, reduction='none')", "single images"),
        ("model(images), labels", "model(images).softmax(dim=1), labels", "twice"),
        ("    model.eval()\n", "    model.dropout.p = 0.0\n", "rate of its dropout"),
        ("    model.eval()\n", "    model.eval()\n    model.requires_grad_(False)\n", "frozen"),
        ("    with torch.no_grad():\n    ", "    torch.set_grad_enabled(False)\n", "Gradients are still off"),
        ("    return loss", "    images.zero_()\n    return loss", "changes what it was given"),
    ],
    "patient_4": [
        ("test_accuracies[best]", "max(test_accuracies)", "no test any more"),
        ("test_accuracies[best]", "max(val_accuracies)", "flatters"),
        ("test_accuracies[best]", "test_accuracies[-1]", "last epoch"),
        ("test_accuracies[best]", "best", "number of the epoch"),
        (
            "val_accuracies.index(max(val_accuracies))",
            "len(val_accuracies) - 1 - val_accuracies[::-1].index(max(val_accuracies))",
            "the first one counts",
        ),
        ("test_accuracies[best]", "max(zip(val_accuracies, test_accuracies))[1]", "the test images choose"),
        ("(max(", "(min(", "worst epoch"),
        ("test_accuracies[best]", "(test_accuracies[best], best)", "alone"),
        ("test_accuracies[best]", "val_accuracies[test_accuracies.index(max(test_accuracies))]", "other way round"),
    ],
    "patient_5": [
        ("labels[order]", "labels[torch.randperm(len(labels))]", "shuffled apart"),
        ("return images[order], labels[order]", "return images, labels", "not shuffled"),
        ("torch.randperm(len(images))", "torch.randint(len(images), (len(images),))", "there twice"),
        ("torch.randperm(len(images))", "labels.argsort()", "sorted by their labels"),
        ("return images[order], labels[order]", "return images, labels[order]", "shuffled apart"),
        ("return images[order], labels[order]", "return labels[order], images[order]", "images come first"),
        (
            "torch.randperm(len(images))",
            "torch.arange(len(images)).roll(int(torch.randint(1, 60, ())))",
            "still follow",
        ),
        (
            "torch.randperm(len(images))",
            "torch.arange(len(images))\n    swapped = torch.randperm(len(images))[:2]\n"
            "    order[swapped] = order[swapped.flip(0)]",
            "still follow",
        ),
        (
            "torch.randperm(len(images))",
            "torch.cat([part[torch.randperm(len(part))] for part in torch.arange(len(images)).split(32)])",
            "certain places",
        ),
        ("torch.randperm(len(images))", "(labels + torch.rand(len(labels)) / 2).argsort()", "sorted by"),
    ],
    "patient_6": [
        (") / 0.3081", ") * 0.3081", "multiplies"),
        ("(images / 255 - 0.1307) / 0.3081", "images / 255", "not standardised"),
        ("images / 255 - 0.1307", "images - 0.1307", "Divide by 255 first"),
        (
            "(images / 255 - 0.1307) / 0.3081",
            "(images / 255 - (images / 255).mean()) / (images / 255).std()",
            "those of the training",
        ),
        ("(images / 255 - 0.1307) / 0.3081", "images / 255 - 0.1307 / 0.3081", "brackets"),
        ("0.3081)", "0.3081).softmax(dim=1)", "Asked for are the logits"),
        ("(images / 255 - 0.1307) / 0.3081", "(images / 255 - 0.3081) / 0.1307", "exchanged"),
        ("(images / 255 - 0.1307) / 0.3081", "images / 255 / 0.3081 - 0.1307", "order is another"),
        ("255", "256", "divides by 256"),
        (" / 0.3081", "", "nothing is divided"),
        ("0.3081)", "0.3081).argmax(dim=1)", "digits that are read"),
    ],
    "patient_7": [
        (
            "            optimizer.step()\n        scheduler.step()",
            "            optimizer.step()\n            scheduler.step()",
            "after each step",
        ),
        ("        scheduler.step()\n", "", "never shrinks"),
        ("range(2)", "range(1)", "Only one epoch"),
        ("            optimizer.zero_grad()\n", "", "Which call forgets them"),
        ("            optimizer.step()\n", "", "has not changed"),
        ("0.95", "0.05", "another share"),
        (
            "    for _ in range(2):\n",
            "    scheduler.step()\n    for _ in range(2):\n",
            "first epoch already",
        ),
    ],
    "patient_8": [
        ("dim=1", "dim=0", "along the batch"),
        (".mean()", ".sum()", "added up"),
        ("loss = -log", "loss = log", "sign is turned"),
        (
            "        log_probabilities = model(batch).log_softmax(dim=1)\n"
            "        loss = -log_probabilities[range(len(batch)), wanted].mean()\n",
            "        loss = F.cross_entropy(model(batch), wanted)\n",
            "without it",
        ),
        ("        optimizer.zero_grad()\n", "", "Which call forgets them"),
        ("        optimizer.step()\n", "", "has not changed"),
        ("log_softmax", "softmax", "logarithm is missing"),
        ("[range(len(batch)), wanted]", "[:, wanted]", "all labels of the batch"),
        (
            "-log_probabilities[range(len(batch)), wanted].mean()",
            "-(F.one_hot(wanted, 10) * log_probabilities).mean()",
            "all ten numbers",
        ),
        (".log_softmax(dim=1)", "", "softmax is missing"),
    ],
}
