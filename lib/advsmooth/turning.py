"""Surfaces that the reader can turn: two views side by side, chosen from a list, turned together.

The result is one self-contained piece of HTML: heights as text, two canvases and some JavaScript that draws them. It
loads nothing, works in the built book, in a notebook and in a saved file, in light and dark. The reader turns the
surfaces by dragging, with two sliders, or with the arrow keys. Without JavaScript a still picture of the first surface
is shown; a page that uses it shows all surfaces in an ordinary figure beside it (:func:`draw`).

    turning("surfaces", title="...", alt="...", surfaces=[Surface("(a) clean loss", "...", heights, (-2, 2))])
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from advsmooth.interactive import LIMIT, Embedded, InteractiveError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Two of these letters are one height: a number from 0 to 4095."""

LEVELS = len(ALPHABET) ** 2 - 1
TURN, TILT = 125.0, 32.0
"""Where the views start, in degrees: about the vertical axis, and above the horizon."""

_RISE = 0.95
"""Height of a surface, of which the base is 2 by 2."""

_LIGHT = np.array([-0.55, -0.45, 0.7])
"""From the left, the front and above, in the frame of the viewer."""

_LOW, _HIGH = np.array([38, 78, 128]), np.array([244, 232, 196])


@dataclass(frozen=True)
class Surface:
    """One surface over a square.

    Attributes:
        name: in the list from which the reader chooses.
        text: one sentence that says what there is to see; read out when the surface is chosen.
        heights: ``(n, n)``, the first index along the first axis.
        range: of both axes.
        kinks: lines on the surface, each ``(k, 2)`` in the units of the axes; a single point is drawn as a dot.
        least: a point to be marked as the minimum, ``(2,)``.
    """

    name: str
    text: str
    heights: Any
    range: tuple[float, float]
    kinks: Sequence[Any] = ()
    least: Any = None


def turning(
    name: str,
    *,
    title: str,
    alt: str,
    axes: tuple[str, str],
    unit: str,
    surfaces: Sequence[Surface],
    start: tuple[int, int] = (0, 1),
) -> Embedded:
    """Make the figure.

    Args:
        name: lower-case letters, digits and hyphens; unique on the page, for it is the root of all ids.
        title: what is shown, in a few words; the heading.
        alt: the text alternative, a few sentences.
        axes: names of the two axes.
        unit: of the heights.
        surfaces: at least two, of one size and one range.
        start: which two are shown first.

    Raises:
        InteractiveError: for a name that is no id, surfaces that do not match, heights that are not finite, a start
            that is no surface, or a figure above :data:`advsmooth.interactive.LIMIT`.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise InteractiveError(f"name={name!r}: allowed are lower-case letters, digits and hyphens, a letter first")
    n = len(surfaces)
    if n < 2 or not all(0 <= k < n for k in start):
        raise InteractiveError(f"{n} surfaces, start={start}: allowed are two or more, and a start among them")
    shapes = {(np.shape(s.heights), tuple(s.range)) for s in surfaces}
    (size, ends), *others = shapes
    if others or len(size) != 2 or size[0] != size[1] or size[0] < 2:
        raise InteractiveError(f"{len(shapes)} sizes or ranges: allowed are equal squares (n, n) over one range")
    data = {
        "n": size[0],
        "ends": [_number(end) for end in ends],
        "axes": list(axes),
        "unit": unit,
        "surfaces": [_packed(s) for s in surfaces],
    }
    options = ["".join(_option(k, s, k == chosen) for k, s in enumerate(surfaces)) for chosen in start]
    first = surfaces[start[0]]
    result = _PAGE.format(
        id=name,
        style=_STYLE.replace("#ID", f"#{name}"),
        title=html.escape(title),
        alt=html.escape(alt),
        still=still(first),
        caption=html.escape(f"{first.name}. {first.text}"),
        left=options[0],
        right=options[1],
        turn=_number(TURN),
        tilt=_number(TILT),
        data=json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
        script=_SCRIPT.replace("ID", json.dumps(name)).replace("ALPHABET", json.dumps(ALPHABET)),
    )
    if len(result.encode()) > LIMIT:
        raise InteractiveError(f"{len(result.encode()):,} bytes: allowed are {LIMIT:,}; take a coarser grid")
    return Embedded(result, alt)


def encode(heights: Any) -> tuple[str, float, float]:
    """Heights as text, two letters each, with the least and the largest: an error of at most 1/8190 of the range.

    The nudge settles ties, which rounding noise would settle differently on another machine.

    Raises:
        InteractiveError: for heights that are not finite.
    """
    array = np.asarray(heights, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InteractiveError("heights that are not finite: allowed are finite numbers")
    low, high = float(array.min()), float(array.max())
    share = (array - low) / (high - low) if high > low else np.zeros_like(array)
    numbers = np.floor(share * LEVELS + 0.5 + 1e-6).clip(0, LEVELS).astype(int).ravel()
    return "".join(ALPHABET[k // 64] + ALPHABET[k % 64] for k in numbers), low, high


def decode(text: str, low: float, high: float) -> np.ndarray:
    """The heights behind the text, ``(n, n)``; the inverse of :func:`encode` up to rounding."""
    digits = np.array([ALPHABET.index(letter) for letter in text]).reshape(-1, 2)
    n = round(len(digits) ** 0.5)
    return (low + (high - low) * (digits[:, 0] * 64 + digits[:, 1]) / LEVELS).reshape(n, n)


def _packed(surface: Surface) -> dict[str, Any]:
    text, low, high = encode(surface.heights)
    places = [_places(surface, line).tolist() for line in surface.kinks]
    least = [] if surface.least is None else _places(surface, [surface.least]).tolist()
    return {
        "text": surface.text,
        "name": surface.name,
        "low": _number(low),
        "high": _number(high),
        "z": text,
        "kinks": places,
        "least": least,
    }


def _places(surface: Surface, points: Any) -> np.ndarray:
    """Points in the units of the axes as places from -1 to 1, two decimals, those outside moved to the edge."""
    low, high = surface.range
    return np.round(2 * (np.asarray(points, dtype=np.float64).reshape(-1, 2) - low) / (high - low) - 1, 2).clip(-1, 1)


def _option(number: int, surface: Surface, chosen: bool) -> str:
    return f'<option value="{number}"{" selected" if chosen else ""}>{html.escape(surface.name)}</option>'


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


# --- the geometry, here for the still pictures and once more in the script --------------------------------------------


@dataclass(frozen=True)
class Scene:
    """What a view shows, in drawing order.

    Attributes:
        faces: corners on the screen, ``(m, 4, 2)``, the furthest first.
        colours: ``(m, 3)`` from 0 to 255.
        lines: the kinks as seen, each ``(k, 2)``.
        least: the marked minimum, ``(2,)``, or ``None``.
        base: corners of the square below, ``(4, 2)``: from low, low round to low, high.
    """

    faces: np.ndarray
    colours: np.ndarray
    lines: list[np.ndarray]
    least: np.ndarray | None
    base: np.ndarray


def scene(surface: Surface, turn: float = TURN, tilt: float = TILT, every: int = 1) -> Scene:
    """Project a surface: parallel projection, faces sorted by depth, shaded by a light that stays with the viewer."""
    heights = np.asarray(surface.heights, dtype=np.float64)
    span = float(np.ptp(heights)) or 1.0
    z = ((heights - heights.min()) / span - 0.5) * _RISE
    fine = np.linspace(-1, 1, len(z))
    z_, at = z[::every, ::every], fine[::every]
    x, y = np.meshgrid(at, at, indexing="ij")
    seen, depth = _seen(x, y, z_, turn, tilt)
    corners = [(slice(None, -1), slice(None, -1)), (slice(1, None), slice(None, -1))]
    corners += [(slice(1, None), slice(1, None)), (slice(None, -1), slice(1, None))]
    faces = np.stack([seen[c] for c in corners], 2).reshape(-1, 4, 2)
    far = np.mean([depth[c] for c in corners], 0).ravel()
    level = np.mean([z_[c] for c in corners], 0).ravel() / _RISE + 0.5
    step = at[1] - at[0]
    a, b, c, d = (z_[corner] for corner in corners)
    along_x, along_y = ((b - a + c - d) / (2 * step)).ravel(), ((d - a + c - b) / (2 * step)).ravel()
    colours = _shade(level, along_x, along_y, turn)
    order = np.argsort(-far, kind="stable")
    place = _height_at(z)
    lines = [_on(line, place, turn, tilt) for line in map(_dense, (_places(surface, k) for k in surface.kinks))]
    least = None if surface.least is None else _on(_places(surface, [surface.least]), place, turn, tilt)[0]
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)
    base, _ = _seen(square[:, 0], square[:, 1], np.full(4, -_RISE / 2), turn, tilt)
    return Scene(faces[order], colours[order], lines, least, base)


def _seen(x: np.ndarray, y: np.ndarray, z: np.ndarray, turn: float, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    p, t = np.deg2rad(turn), np.deg2rad(tilt)
    across, away = x * np.cos(p) - y * np.sin(p), x * np.sin(p) + y * np.cos(p)
    return np.stack([across, z * np.cos(t) + away * np.sin(t)], -1), away * np.cos(t) - z * np.sin(t)


def _shade(level: np.ndarray, along_x: np.ndarray, along_y: np.ndarray, turn: float) -> np.ndarray:
    p = np.deg2rad(turn)
    across, away = -along_x * np.cos(p) + along_y * np.sin(p), -along_x * np.sin(p) - along_y * np.cos(p)
    light = (across * _LIGHT[0] + away * _LIGHT[1] + _LIGHT[2]) / np.sqrt(1 + across**2 + away**2)
    bright = 0.55 + 0.45 * light.clip(0, None)
    return (_LOW + (_HIGH - _LOW) * level[:, None]) * bright[:, None]


def _dense(line: np.ndarray) -> np.ndarray:
    """Points along a line, close enough to follow the surface."""
    if len(line) < 2:
        return line
    return np.concatenate([np.linspace(a, b, 24) for a, b in itertools.pairwise(line)])


def _height_at(z: np.ndarray) -> Any:
    from scipy.interpolate import RegularGridInterpolator

    at = np.linspace(-1, 1, len(z))
    return RegularGridInterpolator((at, at), z)


def _on(points: np.ndarray, place: Any, turn: float, tilt: float) -> np.ndarray:
    return _seen(points[:, 0], points[:, 1], place(points), turn, tilt)[0]


def draw(
    ax: Axes, surface: Surface, *, turn: float = TURN, tilt: float = TILT, colour: str, names: Sequence[str]
) -> None:
    """Draw a surface into a Matplotlib axes as it is first seen; faces become pixels, lines and letters stay vectors.

    ``names`` holds the labels of the two axes, at the front edges of the base; ``colour`` is that of the kinks.
    """
    view = scene(surface, turn, tilt)
    shades = np.round(view.colours / 8) * 8 / 255  # few colours and hard edges: a small picture
    faces = PolyCollection(list(view.faces), facecolors=shades, edgecolors=shades, linewidths=0.5, antialiaseds=False)
    faces.set_rasterized(True)
    ax.plot(*np.concatenate([view.base, view.base[:1]]).T, color="#9aa3ab", linewidth=0.7, zorder=0)
    ax.add_collection(faces)
    for line in view.lines:
        ax.plot(*line.T, color=colour, linewidth=1.8, marker="o" if len(line) == 1 else None, markersize=5)
    if view.least is not None:
        ax.plot(*view.least, marker="D", color="white", markeredgecolor="#22262a", markersize=5)
    centre = view.base.mean(0)
    for edges, words in zip((((0, 1), (3, 2)), ((0, 3), (1, 2))), names, strict=True):
        middle = min((view.base[list(edge)].mean(0) for edge in edges), key=lambda point: point[1])
        outward = (middle - centre) / np.linalg.norm(middle - centre)
        place = middle + 0.24 * outward
        ax.text(float(place[0]), float(place[1]), words, ha="center", va="center", fontsize=8)
    ax.set(xlim=(-1.5, 1.5), ylim=(-1.4, 1.25), aspect="equal")
    ax.axis("off")


def still(surface: Surface, every: int = 2) -> str:
    """The first view as an inline SVG without any text, for readers without JavaScript."""
    view = scene(surface, every=every)

    def path(points: np.ndarray, close: bool) -> str:
        places = np.floor(np.stack([180 + 112 * points[:, 0], 128 - 112 * points[:, 1]], 1) + 0.5 + 1e-6).astype(int)
        steps = " ".join(f"{a} {b}" for a, b in np.diff(places, axis=0)).replace(" -", "-")
        return f"M{places[0][0]} {places[0][1]}l{steps}" + ("z" if close else "")

    parts = [f'<path class="base" d="{path(view.base, True)}"/>']
    for corners, colour in zip(view.faces, view.colours, strict=True):
        short = "".join(f"{int(c + 0.5 + 1e-6):02x}" for c in colour)
        parts.append(f'<path fill="#{short}" d="{path(corners, True)}"/>')
    for line in view.lines:
        parts.append(f'<path class="kink" d="{path(line if len(line) > 1 else np.repeat(line, 2, 0), False)}"/>')
    return "".join(parts)


_STYLE = """
#ID{--ink:#22262a;--paper:#fff;--soft:#c3c9cf;--kink:#c14f00;
margin:1rem 0;padding:.7rem .8rem;max-width:46rem;color:var(--ink);background:var(--paper);
border:1px solid var(--soft);border-radius:4px}
html[data-theme="dark"] #ID,body[data-jp-theme-light="false"] #ID{--ink:#e6e8ea;--paper:#14181e;--soft:#4a535d;
--kink:#ff9d4d}
@media (prefers-color-scheme:dark){html:not([data-theme]) body:not([data-jp-theme-light]) #ID{--ink:#e6e8ea;
--paper:#14181e;--soft:#4a535d;--kink:#ff9d4d}}
#ID [hidden]{display:none}
#ID figcaption{color:var(--ink);font-weight:700;margin:0 0 .3rem;text-align:left}
#ID .views{display:flex;flex-wrap:wrap;gap:.4rem .8rem}
#ID .view{flex:1 1 17rem;min-width:0}
#ID canvas{display:block;width:100%;touch-action:pan-y;cursor:grab}
#ID select{width:100%;min-height:2rem;font:inherit;color:var(--ink);background:var(--paper);
border:1px solid var(--soft);border-radius:3px}
#ID p{margin:.1rem 0 0;color:var(--ink);font-size:.9em}#ID .said{min-height:3.9em}
#ID .handles{display:flex;flex-wrap:wrap;gap:.2rem .8rem;margin-top:.3rem}
#ID .handles label{flex:1 1 12rem;color:var(--ink)}
#ID input{display:block;width:100%;min-height:1.8rem;accent-color:#0072b2;cursor:pointer}
#ID :focus-visible{outline:3px solid var(--kink);outline-offset:2px}
#ID svg{display:block;width:100%;max-width:24rem;height:auto}
#ID .still path{stroke-linejoin:round}#ID .base{fill:none;stroke:var(--soft)}
#ID .kink{fill:none;stroke:var(--kink);stroke-width:3;stroke-linecap:round}
"""

_SCRIPT = """(()=>{const root=document.getElementById(ID);if(!root)return;
const data=JSON.parse(root.querySelector('script[type="application/json"]').textContent),n=data.n,A=ALPHABET;
const RISE=.95,LIGHT=[-.55,-.45,.7],LOW=[38,78,128],HIGH=[244,232,196];
for(const s of data.surfaces){s.h=new Float64Array(n*n);
for(let k=0;k<n*n;k++)s.h[k]=((A.indexOf(s.z[2*k])*64+A.indexOf(s.z[2*k+1]))/4095-.5)*RISE;}
const at=(s,x,y)=>{const u=(x+1)/2*(n-1),v=(y+1)/2*(n-1),i=Math.min(n-2,u|0),j=Math.min(n-2,v|0),a=u-i,b=v-j,k=i*n+j;
return(1-a)*((1-b)*s.h[k]+b*s.h[k+1])+a*((1-b)*s.h[k+n]+b*s.h[k+n+1]);};
const views=[...root.querySelectorAll(".view")].map(v=>({canvas:v.querySelector("canvas"),
list:v.querySelector("select"),said:v.querySelector(".said"),range:v.querySelector(".range")}));
const [turn,tilt]=root.querySelectorAll("input");
const draw=v=>{const s=data.surfaces[+v.list.value],c=v.canvas,w=c.clientWidth,h=Math.round(w*.8);if(!w)return;
const f=window.devicePixelRatio||1;c.width=w*f;c.height=h*f;c.style.height=h+"px";
const g=c.getContext("2d");g.scale(f,f);g.lineJoin=g.lineCap="round";
const css=getComputedStyle(root),ink=css.getPropertyValue("--ink"),soft=css.getPropertyValue("--soft"),
kink=css.getPropertyValue("--kink");
const p=+turn.value*Math.PI/180,t=+tilt.value*Math.PI/180,cp=Math.cos(p),sp=Math.sin(p),ct=Math.cos(t),st=Math.sin(t);
const k=w/3.3,see=(x,y,z)=>{const a=x*cp-y*sp,b=x*sp+y*cp;return[w/2+k*a,h*.46-k*(z*ct+b*st),b*ct-z*st];};
const line=(P,close)=>{g.beginPath();P.forEach((q,i)=>i?g.lineTo(q[0],q[1]):g.moveTo(q[0],q[1]));
if(close)g.closePath();};
const CORNER=[[-1,-1],[1,-1],[1,1],[-1,1]],base=CORNER.map(q=>see(q[0],q[1],-RISE/2));
g.strokeStyle=soft;g.lineWidth=1;line(base,1);g.stroke();
const P=[];for(let i=0;i<n;i++)for(let j=0;j<n;j++)P.push(see(2*i/(n-1)-1,2*j/(n-1)-1,s.h[i*n+j]));
const items=[],d=2/(n-1);
for(let i=0;i<n-1;i++)for(let j=0;j<n-1;j++){const q=i*n+j,Q=[q,q+n,q+n+1,q+1],z=Q.map(m=>s.h[m]);
const dx=(z[1]-z[0]+z[2]-z[3])/(2*d),dy=(z[3]-z[0]+z[2]-z[1])/(2*d),a=-dx*cp+dy*sp,b=-dx*sp-dy*cp;
const L=.55+.45*Math.max(0,(a*LIGHT[0]+b*LIGHT[1]+LIGHT[2])/Math.sqrt(1+a*a+b*b)),e=(z[0]+z[1]+z[2]+z[3])/4/RISE+.5;
const colour="rgb("+LOW.map((l,m)=>Math.round((l+(HIGH[m]-l)*e)*L)).join()+")";
items.push([(P[Q[0]][2]+P[Q[1]][2]+P[Q[2]][2]+P[Q[3]][2])/4,()=>{line(Q.map(m=>P[m]),1);
g.fillStyle=g.strokeStyle=colour;g.lineWidth=.6;g.fill();g.stroke();}]);}
for(const K of s.kinks){const D=[];for(let i=0;i<K.length-1;i++)for(let m=0;m<n-1;m++){const a=m/(n-1),b=(m+1)/(n-1);
const f=e=>{const x=K[i][0]+(K[i+1][0]-K[i][0])*e,y=K[i][1]+(K[i+1][1]-K[i][1])*e;return see(x,y,at(s,x,y));};
D.push([f(a),f(b)]);}
for(const[a,b]of D)items.push([(a[2]+b[2])/2-2.5*d,()=>{line([a,b]);g.strokeStyle=kink;g.lineWidth=2.6;g.stroke();}]);
if(K.length<2){const o=see(K[0][0],K[0][1],at(s,...K[0]));items.push([o[2]-2.5*d,()=>{g.beginPath();
g.arc(o[0],o[1],4.5,0,7);g.fillStyle=kink;g.fill();}]);}}
for(const K of s.least){const o=see(K[0],K[1],at(s,...K)),r=5.5;items.push([o[2]-3*d,()=>{
line([[o[0]-r,o[1]],[o[0],o[1]-r],[o[0]+r,o[1]],[o[0],o[1]+r]],1);g.fillStyle="#fff";g.fill();
g.strokeStyle="#22262a";g.lineWidth=1.4;g.stroke();}]);}
items.sort((a,b)=>b[0]-a[0]);for(const i of items)i[1]();
g.fillStyle=ink;g.font="13px DejaVu Sans,Verdana,sans-serif";g.textAlign="center";g.textBaseline="middle";
const m=base.reduce((a,q)=>[a[0]+q[0]/4,a[1]+q[1]/4],[0,0]);
const word=(a,b,e,out,words)=>{const x=a[0]+(b[0]-a[0])*e,y=a[1]+(b[1]-a[1])*e,X=x-m[0],Y=y-m[1],l=Math.hypot(X,Y)||1;
g.fillText(words,x+out*X/l,y+out*Y/l);};
const front=(a,b)=>{const c=(a+2)%4,e=(b+2)%4;return base[a][2]+base[b][2]<base[c][2]+base[e][2]?[a,b]:[e,c];};
[front(0,1),front(0,3)].forEach(([a,b],i)=>{const rises=CORNER[b][i]>CORNER[a][i];
word(base[a],base[b],.5,20,data.axes[i]);
word(base[a],base[b],.1,14,data.ends[rises?0:1]);word(base[a],base[b],.9,14,data.ends[rises?1:0]);});};
const tell=v=>{const s=data.surfaces[+v.list.value];v.said.textContent=s.text;
v.range.textContent="Heights from "+s.low+" to "+s.high+" "+data.unit+".";
v.canvas.setAttribute("aria-label","Surface "+s.name+". "+s.text);};
const all=()=>{for(const i of[turn,tilt])i.setAttribute("aria-valuetext",i.value+" degrees");views.forEach(draw);};
const move=(a,b)=>{turn.value=((+turn.value+a)%360+360)%360;tilt.value=Math.min(90,Math.max(0,+tilt.value+b));all();};
for(const i of[turn,tilt])i.addEventListener("input",all);
for(const v of views){v.list.addEventListener("change",()=>{tell(v);draw(v);});let from=null;
v.canvas.addEventListener("pointerdown",e=>{from=[e.clientX,e.clientY];v.canvas.setPointerCapture(e.pointerId);});
v.canvas.addEventListener("pointermove",e=>{if(!from)return;
move((e.clientX-from[0])*.5,e.pointerType=="touch"?0:(e.clientY-from[1])*.4);from=[e.clientX,e.clientY];});
for(const k of["pointerup","pointercancel"])v.canvas.addEventListener(k,()=>{from=null;});
v.canvas.addEventListener("keydown",e=>{
const by={ArrowLeft:[-5,0],ArrowRight:[5,0],ArrowUp:[0,5],ArrowDown:[0,-5]}[e.key];
if(e.key=="Home"){turn.value=turn.defaultValue;tilt.value=tilt.defaultValue;all();}else if(by)move(...by);else return;
e.preventDefault();});}
root.querySelector(".live").hidden=false;root.querySelector(".still").hidden=true;views.forEach(tell);all();
new ResizeObserver(all).observe(root);
new MutationObserver(all).observe(document.documentElement,{attributes:true,attributeFilter:["data-theme"]});
matchMedia("(prefers-color-scheme:dark)").addEventListener("change",all);})();"""

_PAGE = """<figure class="interactive" id="{id}"><style>{style}</style>
<figcaption id="{id}-title">{title}</figcaption>
<p id="{id}-how" class="live-help">{alt}</p>
<div class="still"><svg viewBox="0 0 360 270" role="img" aria-labelledby="{id}-title"
 aria-describedby="{id}-still">{still}</svg><p id="{id}-still">{caption}</p></div>
<div class="live" hidden><div class="views" role="group" aria-labelledby="{id}-title">
<div class="view"><label for="{id}-left">Left surface</label><select id="{id}-left">{left}</select>
<canvas role="img" tabindex="0" aria-label="left surface" aria-describedby="{id}-keys"></canvas>
<p class="range"></p><p class="said" aria-live="polite"></p></div>
<div class="view"><label for="{id}-right">Right surface</label><select id="{id}-right">{right}</select>
<canvas role="img" tabindex="0" aria-label="right surface" aria-describedby="{id}-keys"></canvas>
<p class="range"></p><p class="said" aria-live="polite"></p></div></div>
<div class="handles"><label>Turn<input type="range" min="0" max="360" step="1" value="{turn}"></label>
<label>Tilt<input type="range" min="0" max="90" step="1" value="{tilt}"></label></div>
<p id="{id}-keys">Drag a surface, or move to it with Tab and use the arrow keys; Home turns it back.</p></div>
<noscript><p>Turning needs JavaScript; without it one surface is shown here, and the figures beside it show
all.</p></noscript>
<script type="application/json">{data}</script>
<script>{script}</script></figure>"""
