// Runs all cells of the notebook that `mmlab lab` opens, once in each kernel. JupyterLab loads this file as a federated
// extension, which is why it registers a container with `init` and `get`; there is nothing to build.
(() => {
  const OPENED = /\/tree\/(.+\.ipynb)$/;
  const RAN = "mmlab:ran-in-kernel";

  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  async function findNotebook(app, path) {
    for (;;) {
      const current = app.shell.currentWidget;
      if (current?.context?.path === path && current.sessionContext?.session?.kernel) return current;
      await wait(50);
    }
  }

  async function runOnOpen(app) {
    const address = OPENED.exec(decodeURIComponent(window.location.pathname));
    if (address === null) return;
    const notebook = await findNotebook(app, address[1]);
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    const kernel = notebook.sessionContext.session.kernel.id;
    if (window.localStorage.getItem(RAN) === kernel) return; // the page was loaded again: the answers are still there
    window.localStorage.setItem(RAN, kernel);
    await app.commands.execute("notebook:run-all-cells");
  }

  const plugin = {
    id: "mmlab-ask:run-on-open",
    autoStart: true,
    activate: (app) => void app.restored.then(() => runOnOpen(app)),
  };
  const module = { __esModule: true, default: plugin };
  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["mmlab-ask"] = { init: () => undefined, get: () => Promise.resolve(() => module) };
})();
