import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from scipy.ndimage import center_of_mass, distance_transform_edt, maximum_filter

from mnist_helpers.reading.ink import SMALLEST
from mnist_helpers.reading.pictures import PictureError
from mnist_helpers.reading.preprocessing import read_digit, read_digits
from mnist_helpers.reading.segmentation import Part, cuts

SEVEN = [(60, 40), (120, 40), (80, 130)]


def drawn(size=(300, 200), paper=230, ink=20, move=(0, 0), width=12) -> Image.Image:
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).line([(x + move[0], y + move[1]) for x, y in SEVEN], fill=ink, width=width)
    return picture


def in_light(picture: Image.Image, light: np.ndarray, grain: float = 0.0) -> Image.Image:
    """Show a picture as a camera would: under a light (1 is full), with grain."""
    seen = np.asarray(picture) * light + np.random.default_rng(0).normal(0, grain, light.shape)
    return Image.fromarray(seen.clip(0, 255).astype(np.uint8))


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the mean difference in grey levels, 0 for the same digit; two different digits are about 40 apart."""
    return (one.float() - other.float()).abs().mean().item()


@pytest.mark.parametrize(("paper", "ink"), [(230, 20), (20, 230), (255, 0), (0, 255), (150, 60), (90, 140)])
def test_a_drawn_digit_becomes_bright_on_black_fitted_and_centred(paper, ink):
    digit = read_digit(drawn(paper=paper, ink=ink)).digit
    assert digit.shape == (1, 28, 28)
    assert digit.dtype == torch.uint8
    rows, columns = torch.nonzero(digit[0] > 0, as_tuple=True)
    assert 18 <= max(rows.max() - rows.min(), columns.max() - columns.min()) + 1 <= 20
    assert digit.max() > 200
    assert np.abs(np.subtract(center_of_mass(digit[0].numpy()), 13.5)).max() <= 0.51
    assert distance(digit, read_digit(drawn()).digit) < 6


@settings(max_examples=20, deadline=None)
@given(st.integers(-45, 150), st.integers(-30, 55))
def test_the_place_on_the_paper_does_not_matter(x, y):
    assert distance(read_digit(drawn(move=(x, y))).digit, read_digit(drawn()).digit) < 8  # centred by whole pixels


@pytest.mark.parametrize("factor", [0.2, 0.5, 3, 10])
def test_the_size_of_the_picture_does_not_matter(factor):
    size = (round(300 * factor), round(200 * factor))
    resized = drawn().resize(size, Image.Resampling.LANCZOS)
    assert distance(read_digit(resized).digit, read_digit(drawn()).digit) < 8


ROWS, COLUMNS = np.mgrid[0:200, 0:300]
LIGHTS = {
    "falling off to the right": 1 - 0.7 * COLUMNS / 300,
    "falling off to a corner": 1 - 0.6 * (ROWS / 200 + COLUMNS / 300) / 2,
    "a lamp in the middle": np.exp(-((ROWS - 100) ** 2 + (COLUMNS - 100) ** 2) / 40_000) * 0.7 + 0.3,
    "a soft shadow": 1 - 0.5 / (1 + np.exp(-(COLUMNS - 90) / 8)),
    "a hard shadow": np.where(COLUMNS + ROWS / 2 > 130, 0.5, 1.0),
}


@pytest.mark.parametrize("grain", [0, 4])
@pytest.mark.parametrize("light", LIGHTS)
def test_uneven_light_is_not_taken_for_ink(light, grain):
    photo = in_light(drawn(paper=220, ink=50), LIGHTS[light], grain)
    assert distance(read_digit(photo).digit, read_digit(drawn()).digit) < 8


@pytest.mark.parametrize("light", ["falling off to the right", "a lamp in the middle"])
def test_chalk_on_a_blackboard_in_uneven_light(light):
    photo = in_light(drawn(paper=70, ink=210), LIGHTS[light], grain=3)
    assert distance(read_digit(photo).digit, read_digit(drawn()).digit) < 12


def test_grain_alone_or_light_alone_is_no_ink():
    for light in LIGHTS.values():
        if light is not LIGHTS["a hard shadow"]:
            with pytest.raises(PictureError, match="no ink"):
                read_digits(in_light(Image.new("L", (300, 200), 220), light, grain=4))


@pytest.mark.parametrize("grey", [80, 128, 200, 248, 255])
@pytest.mark.parametrize("side", [50, 300])
def test_paper_without_ink_is_said_to_have_none_and_not_faint_ink(grey, side):
    with pytest.raises(PictureError, match=r"^There is no ink in this picture\. Is the digit in it\?"):
        read_digit(Image.new("L", (side, side), grey))


def full_of_ink() -> dict[str, np.ndarray]:
    return {
        "black": np.zeros((100, 100)),
        "the dark": np.random.default_rng(0).normal(30, 3, (100, 100)),
        "half of it": np.repeat([0, 255], 50)[:, None] * np.ones((1, 100)),
        "a black sheet with a white rim": np.pad(np.zeros((90, 90)), 5, constant_values=255),
        "noise": np.random.default_rng(0).integers(0, 256, (100, 100)),
    }


@pytest.mark.parametrize("name", full_of_ink())
def test_a_picture_full_of_ink_is_not_said_to_have_none(name):
    with pytest.raises(PictureError, match="full of ink"):
        read_digits(Image.fromarray(full_of_ink()[name].clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize("width", [2, 4, 8, 16, 24])
def test_thin_and_thick_strokes_are_seen(width):
    digit = read_digit(drawn(width=width)).digit
    assert digit.max() > 180
    assert 0.05 < digit.float().mean() / 255 < 0.4


def test_a_fine_pen_s_strokes_are_widened():
    """On a large sheet a fine pen's line would be a third of a pixel in the end, and nearly invisible."""
    fine = read_digit(drawn(width=2)).digit
    assert (fine > 128).sum() > 30


def test_pale_pencil_is_seen():
    assert distance(read_digit(drawn(paper=200, ink=150)).digit, read_digit(drawn()).digit) < 6


def test_a_table_s_edge_and_dirt_are_not_taken_for_digits():
    picture = drawn()
    pen = ImageDraw.Draw(picture)
    pen.rectangle([0, 185, 300, 200], fill=60)  # the table below the paper
    pen.ellipse([250, 50, 256, 56], fill=40)  # a crumb
    digits = read_digits(picture)
    assert len(digits) == 1
    assert distance(digits[0].digit, read_digit(drawn()).digit) < 6


@pytest.mark.parametrize("side", [(0, 60, 9, 150), (290, 60, 299, 150), (100, 0, 200, 9), (100, 190, 200, 199)])
def test_what_lies_along_any_edge_is_no_digit(side):
    picture = drawn()
    ImageDraw.Draw(picture).rectangle(side, fill=60)
    (digit,) = read_digits(picture)
    assert distance(digit.digit, read_digit(drawn()).digit) < 6


def test_the_box_is_where_the_digit_is():
    picture = Image.new("L", (SMALLEST, SMALLEST), 255)
    ImageDraw.Draw(picture).rectangle([100, 60, 139, 199], fill=0)
    assert read_digit(picture).box == (100, 60, 140, 200)


@pytest.mark.parametrize("width", [2, 30, 45])
def test_strokes_become_about_as_wide_as_mnist_s(width):
    digit = read_digit(drawn(width=width)).digit[0].numpy() > 100
    depth = distance_transform_edt(np.pad(digit, 1))
    ridge = depth[(depth == maximum_filter(depth, 3)) & (depth > 0)]
    assert 1.5 <= 2 * np.median(ridge) <= 4.5


def five(picture: Image.Image, left: int, gap: int) -> None:
    pen = ImageDraw.Draw(picture)
    pen.line([(left + 8, 50 + gap), (left + 8, 90), (left + 35, 90), (left + 40, 130), (left, 140)], fill=20, width=9)
    pen.line([(left + 8, 45), (left + 45, 45)], fill=20, width=9)


def test_the_loose_bar_of_a_five_belongs_to_it():
    picture = Image.new("L", (300, 200), 230)
    five(picture, 100, gap=12)
    digits = read_digits(picture)
    assert len(digits) == 1
    assert digits[0].box[1] < 45


def test_several_digits_are_counted_and_read_from_left_to_right():
    picture = drawn(size=(400, 200), move=(-40, 0))
    five(picture, 150, gap=0)
    ImageDraw.Draw(picture).line([(260, 40), (260, 140)], fill=20, width=10)
    with pytest.raises(PictureError, match="There are 3 separate digits"):
        read_digit(picture)
    digits = read_digits(picture)
    assert [digit.box[0] for digit in digits] == sorted(digit.box[0] for digit in digits)
    alone = read_digit(drawn()).digit
    distances = [distance(digit.digit, alone) for digit in digits]
    assert distances[0] < 6 < min(distances[1:])


def in_pieces(side: int) -> Image.Image:
    """Draw a seven of single pixels, of which every fourth is missing, as a fine pen's is when it is made smaller."""
    way = [(x, 6) for x in range(7, 21)] + [(20 - step // 2, 7 + step) for step in range(16)]
    picture = Image.new("L", (28, 28), 255)
    for x, y in (place for number, place in enumerate(way) if number % 4 != 2):
        picture.putpixel((x, y), 0)
    return picture.resize((side, side), Image.Resampling.NEAREST)


def test_gaps_of_a_pixel_are_joined_in_tiny_pictures_only():
    digit = read_digit(in_pieces(28)).digit
    assert len(read_digits(in_pieces(280))) > 1
    assert ndimage.label(digit[0].numpy() > 60, np.ones((3, 3)))[1] == 1
    alone = read_digit(drawn(width=6)).digit
    assert distance(digit, alone) < 30


def test_digits_that_are_two_pixels_apart_stay_apart_in_tiny_pictures():
    picture = Image.new("L", (40, 28), 255)
    for left in (10, 14, 18):
        ImageDraw.Draw(picture).line([(left, 4), (left, 23)], fill=0, width=2)
    assert len(read_digits(picture)) == 3


def test_a_picture_full_of_marks_is_refused_at_once():
    page, rng = Image.new("L", (1000, 1000), 255), np.random.default_rng(0)
    for x, y in rng.integers(0, 990, (3000, 2)).tolist():
        ImageDraw.Draw(page).ellipse([x, y, x + 6, y + 6], fill=0)
    with pytest.raises(PictureError, match="separate marks"):
        read_digits(page)


def test_specks_alone_are_no_digit():
    page = Image.new("L", (200, 200), 255)
    for x, y in [(40, 40), (100, 60), (150, 150)]:
        page.putpixel((x, y), 0)
    with pytest.raises(PictureError, match="too small to be a digit"):
        read_digits(page)


def test_mnist_images_come_out_nearly_as_they_went_in(train):
    """MNIST's own images went through these steps once already."""
    differences = []
    for image in train.images[:40]:
        picture = Image.fromarray(image[0].numpy()).resize((280, 280), Image.Resampling.NEAREST)
        differences.append(distance(max(read_digits(picture), key=lambda d: d.ink.sum()).digit, image))
    assert np.median(differences) < 13


def test_every_step_is_kept():
    steps = read_digit(drawn())
    assert steps.grey.shape == steps.paper.shape == steps.ink.shape
    assert steps.paper.min() > 200  # the strokes are filled
    assert steps.ink.max() == 255
    assert steps.ink[0, 0] == 0
    assert steps.cropped.shape[0] < 120


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_picture_ends_in_anything_but_digits_or_a_sentence(data):
    size = data.draw(st.tuples(st.integers(4, 60), st.integers(4, 60)))
    kind = data.draw(st.sampled_from(["noise", "gradient", "blot", "checks"]))
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    pixels = {
        "noise": np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, size),
        "gradient": rows * 255 / size[0],
        "blot": np.where(rows < size[0] // 2, 0, 255),
        "checks": (rows // 3 + columns // 3) % 2 * 255,
    }[kind]
    picture = Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.BoxBlur(data.draw(st.integers(0, 2))))
    try:
        digits, message = read_digits(picture), ""
    except PictureError as error:
        digits, message = [], str(error)
    assert digits or message.endswith(".")
    assert all(steps.digit.shape == (1, 28, 28) and steps.digit.any() for steps in digits)


def test_a_picture_with_specks_alone_is_refused_in_a_sentence():
    picture = Image.new("L", (1_000, 4), 200)
    ImageDraw.Draw(picture).point([(500, 1), (501, 2)], fill=0)
    with pytest.raises(PictureError):
        read_digits(picture)


def test_a_marker_s_strokes_are_thinned_and_what_is_a_blot_is_no_digit():
    def ink(width: int) -> int:
        picture = Image.new("L", (400, 400), 255)
        ImageDraw.Draw(picture).line([(120, 60), (280, 60), (180, 340)], fill=0, width=width)
        return (read_digit(picture).digit > 127).sum().item()

    assert ink(70) < 1.5 * ink(40)
    places = [(x, y, x + 200, y + 200) for y in (50, 400, 750) for x in (50, 400, 750)]
    noughts, blots = Image.new("L", (1_000, 1_000), 255), Image.new("L", (1_000, 1_000), 255)
    for place in places:
        ImageDraw.Draw(noughts).ellipse(place, outline=0, width=60)
        ImageDraw.Draw(blots).rectangle(place, fill=0)
    assert len(read_digits(noughts)) == 9
    with pytest.raises(PictureError, match="full of ink"):
        read_digits(blots)


def test_where_the_pen_was_pressed_less_the_stroke_goes_on():
    picture = Image.new("L", (300, 200), 230)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((100, 40, 180, 160), outline=20, width=12)
    draw.arc((100, 40, 180, 160), -40, 40, fill=155, width=12)  # a third as dark as the rest
    digit = read_digit(picture).digit[0]
    middle = digit[14] > 30
    assert middle[:14].any()
    assert middle[14:].any()
    draw.line([(210, 90), (210, 110)], fill=155, width=12)  # beside it, what hangs together with nothing is left out
    assert distance(read_digit(picture).digit, digit) < 2


def test_a_blot_close_above_is_a_stroke_of_the_digit_and_one_far_above_is_not():
    def six(gap: int) -> torch.Tensor:
        picture = Image.new("L", (240, 300), 230)
        draw = ImageDraw.Draw(picture)
        draw.ellipse((80, 150, 160, 230), outline=20, width=16)
        draw.rounded_rectangle((85, 110 - gap, 130, 150 - gap), 8, fill=20)
        return read_digits(picture)[0].box

    assert six(12)[1] < 110
    assert six(70)[1] > 140


@pytest.mark.parametrize("gap", [8, 16, 30])
def test_digits_close_above_each_other_are_two_rows(gap):
    picture = Image.new("L", (400, 500), 255)
    pen = ImageDraw.Draw(picture)
    pen.line([(150, 60), (240, 60), (180, 190)], fill=0, width=14)  # a 7, down to 197 or so
    top = 200 + gap
    pen.line([(170, top), (150, top + 80), (240, top + 80)], fill=0, width=14)
    pen.line([(215, top + 30), (215, top + 130)], fill=0, width=14)  # a 4
    assert [steps.row for steps in read_digits(picture)] == [0, 1]


def test_a_tall_stroke_that_broke_in_the_middle_is_one_digit():
    picture = Image.new("L", (300, 300), 255)
    pen = ImageDraw.Draw(picture)
    pen.line([(150, 40), (150, 140)], fill=0, width=16)
    pen.line([(150, 148), (150, 260)], fill=0, width=16)
    assert len(read_digits(picture)) == 1


@pytest.mark.parametrize(("width", "stroke"), [(30, 16), (40, 20), (100, 34)])
def test_a_one_that_was_cut_out_closely_is_seen(width, stroke):
    picture = Image.new("L", (width, 205), 180)
    ImageDraw.Draw(picture).rounded_rectangle([(width - stroke) // 2, 6, (width + stroke) // 2, 198], stroke // 2, 60)
    left, top, right, bottom = read_digit(picture).box
    scale = SMALLEST / 205
    assert right - left == pytest.approx(stroke * scale, abs=5)
    assert bottom - top == pytest.approx(193 * scale, abs=8)


@pytest.mark.parametrize("turns", range(4))
def test_a_shadow_s_corner_is_no_digit_and_a_digit_may_touch_the_edge(turns):
    corner = Image.new("L", (240, 200), 180)
    ImageDraw.Draw(corner).ellipse([180, 150, 300, 260], fill=80)
    shadow = corner.filter(ImageFilter.GaussianBlur(3)).rotate(90 * turns, expand=True)
    with pytest.raises(PictureError):
        read_digits(shadow)
    seven = Image.new("L", (240, 200), 180)
    ImageDraw.Draw(seven).line([(100, 130), (150, 130), (125, 200)], fill=60, width=8)
    (digit,) = read_digits(seven.rotate(90 * turns, expand=True))
    assert max(digit.part.height, digit.part.width) == pytest.approx(75 * SMALLEST / 240, abs=8)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("outline", [[(60, 20), (50, 55), (60, 90)], [(60, 80), (54, 90), (52, 150), (60, 150)]])
def test_a_strip_of_shadow_along_the_edge_is_no_digit(outline, turns):
    picture = Image.new("L", (60, 160), 180)
    ImageDraw.Draw(picture).polygon(outline, fill=100)
    with pytest.raises(PictureError):
        read_digits(picture.filter(ImageFilter.GaussianBlur(1)).rotate(90 * turns, expand=True))


def test_a_digit_is_seen_that_leaves_only_a_dark_rim_of_the_paper_around_it():
    picture = Image.new("L", (100, 200), 170)
    pen = ImageDraw.Draw(picture)
    pen.rectangle([0, 0, 99, 199], outline=115, width=6)  # light falls off towards the edge
    five = [(88, 20), (25, 20), (22, 90), (70, 95), (78, 140), (60, 178), (18, 180)]
    pen.line(five, fill=95, width=24, joint="curve")
    left, top, right, bottom = read_digit(picture.filter(ImageFilter.GaussianBlur(1.5))).box
    assert right - left > 0.7 * SMALLEST / 2
    assert bottom - top > 0.85 * SMALLEST


def test_a_digit_is_never_cut_through_its_hole():
    ring, pair = Image.new("L", (120, 100)), Image.new("L", (120, 100))
    ImageDraw.Draw(ring).ellipse([5, 5, 115, 95], outline=255, width=12)
    ImageDraw.Draw(pair).ellipse([5, 5, 60, 95], outline=255, width=8)
    ImageDraw.Draw(pair).ellipse([56, 5, 115, 95], outline=255, width=8)
    assert cuts(Part(np.asarray(ring) > 0, 0, 0)) == []
    assert any(abs(one.width - 56) < 6 for one, _other in cuts(Part(np.asarray(pair) > 0, 0, 0)))
