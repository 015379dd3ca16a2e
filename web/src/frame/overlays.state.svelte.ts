/** Which overlay of the frame is open. */
class Overlays {
  palette = $state(false);
  shortcuts = $state(false);
  navigation = $state(false);
}

export const overlays = new Overlays();
