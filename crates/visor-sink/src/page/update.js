const main = document.querySelector("main");
async function update() {
  try {
    const answer = await fetch("content");
    if (answer.ok) main.innerHTML = await answer.text();
  } catch {
    document.title = "Visor sink (no answer)";
  }
  setTimeout(update, 1000);
}
setTimeout(update, 1000);
