"""The straightforward page that the catalogue browser is compared with.

It fetches the whole catalogue, shows the newest image of a site, renders a thumbnail for each of
its images, and changes the picture's address when an arrow key is pressed.
"""

PEER = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A plain page</title>
<style>
body { margin: 0; display: flex; flex-direction: column; height: 100vh; background: #111; }
.frame { flex: 1; min-height: 0; }
.frame img { height: 100%; }
.thumbnails { display: flex; overflow-x: auto; height: 120px; }
.thumbnails img { width: 96px; height: 96px; }
select { width: 20em; }
</style>
<select></select>
<div class="frame" data-side="left"><img alt=""></div>
<div class="thumbnails"></div>
<script type="module">
const here = (address) => address.replace("https://images.example.org/estinel", "..");
const { locations } = await (await fetch("image-catalog.json")).json();
locations.sort((a, b) => (a.images.at(-1)?.date < b.images.at(-1)?.date ? 1 : -1));
const frame = document.querySelector(".frame");
const picture = frame.querySelector("img");
const thumbnails = document.querySelector(".thumbnails");
const choose = document.querySelector("select");
let images = [];
let at = 0;
function show(index) {
  at = (index + images.length) % images.length;
  frame.dataset.state = "loading";
  picture.src = here(Object.values(images[at].url)[0]);
}
picture.addEventListener("load", () => {
  frame.dataset.state = "shown";
  frame.dataset.shown = images[at].id;
});
function open(site) {
  images = site.images;
  thumbnails.replaceChildren(...images.map((image, index) => {
    const element = new Image();
    element.src = here(Object.values(image.thumbnail)[0]);
    element.title = image.date;
    element.addEventListener("click", () => show(index));
    return element;
  }));
  show(images.length - 1);
}
choose.append(...locations.map((site) => new Option(site.name)));
choose.addEventListener("change", () => open(locations[choose.selectedIndex]));
addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") show(at - 1);
  if (event.key === "ArrowRight") show(at + 1);
  if (event.key === "ArrowDown" && choose.selectedIndex + 1 < locations.length) {
    choose.selectedIndex += 1;
    open(locations[choose.selectedIndex]);
  }
});
open(locations[0]);
</script>
</html>
"""
